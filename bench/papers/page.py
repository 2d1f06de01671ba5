"""Render the records of the papers as the page of the documentation that shows them.

``python -m bench.papers`` writes it; pages of methods include the part between two markers.
"""

import json
from collections.abc import Iterator
from pathlib import Path

ORDER = ("ila_sdp", "swav", "opta", "ddfa", "sbcl", "rcal")

INTRO = """# Papers reproduced

One published trend of each paper, measured with this library on data that need no download: what was
drawn here, what comes with scikit-learn, and sentence embeddings where they are at hand. The networks
and images of the papers are out of reach, so that trends are compared and not their figures. What is
expected stands in the code, and where it does not hold the page says so. Most of it was written before
any figure was seen. Two expectations were changed after short trials: collapse (SwAV) was first expected
of rows that stay as they are, and the published steps of DDFA to be ahead of clusters in every setting.

    make papers

computes all of it and writes this page (`python -m bench.papers`, one core; the code is in
`bench/papers`). Figures are means ± standard deviations over seeds.
"""


def render(folder: Path) -> str:
    """The page that the records of a folder make."""
    paths = [folder / f"{name}.json" for name in ORDER]
    records = [json.loads(path.read_text(encoding="utf8")) for path in paths if path.exists()]
    return "\n".join([INTRO, *_summary(records), *(_section(one) for one in records)]) + "\n"


def _summary(records: list[dict]) -> Iterator[str]:
    yield "| paper | verdict | expectations that hold | not run | seconds |"
    yield "|---|---|---|---|---|"
    for record in records:
        checks = record["ours"]["checks"]
        held = sum(check["passed"] for check in checks)
        missing = ", ".join(part["part"] for part in record["ours"]["missing"])
        yield (
            f"| [{record['paper']['method']}](#{record['name'].replace('_', '-')}) | "
            f"{_result(record)} | {held} of {len(checks)} | {missing} | {record['seconds']:.0f} |"
        )
    yield ""


def _result(record: dict) -> str:
    return "reproduced" if record["passed"] else "**not reproduced**"


def _section(record: dict) -> str:
    paper, ours = record["paper"], record["ours"]
    source = f'"{paper["title"]}", {paper["venue"]} {paper["year"]}; {paper["where"]}'
    page = f"../methods/{paper['page']}.md"
    command = f"`python -m bench.papers --only {record['name']}`"
    lines = [
        f"({record['name'].replace('_', '-')})=\n",
        f"## {paper['method']}\n",
        f"{paper['authors']}, {source}. More on the [page of the method]({page}).\n",
        f"<!-- {record['name']} -->\n",
        f"**The claim.** {paper['claim']}\n",
        *(line for table in paper["published"] for line in _table(table)),
        f"**Here.** {ours['setting']} Seeds: {ours['seeds']}.\n",
        *(line for table in ours["tables"] for line in _table(table)),
        f"**Expected, and found:** {_result(record)}.\n",
        *_checks(ours["checks"]),
        *(f"Not run: {part['part']} ({part['why']}).\n" for part in ours["missing"]),
        f"**What limits it.** {ours['limits']}\n",
        f"clusterlib {record['clusterlib']}, {record['seconds']:.0f} s of one core, {command}.\n",
        f"<!-- end of {record['name']} -->\n",
    ]
    return "\n".join(lines)


def _checks(checks: list[dict]) -> Iterator[str]:
    yield "| expectation | found | |\n|---|---|---|"
    for check in checks:
        found, word = inequality(check), verdict(check)
        yield f"| {check['expectation']} | {found} | {word} |"
    yield ""


def verdict(check: dict) -> str:
    """Whether an expectation holds, in a word."""
    return "holds" if check["passed"] else "FAILS"


def inequality(check: dict) -> str:
    """The figure and what it was held against."""
    sign = check["relation"] if check["passed"] else f"not {check['relation']}"
    return f"{check['value']:.4g} {sign} {check['bound']:.3g}"


def _table(table: dict) -> Iterator[str]:
    yield f"{table['caption']}\n"
    yield f"| {' | '.join(table['head'])} |\n|{'---|' * len(table['head'])}"
    for row in table["rows"]:
        yield f"| {' | '.join(_cell(cell, table['digits']) for cell in row)} |"
    yield ""


def _cell(cell, digits: int) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, dict):
        spread = f" ± {cell['spread']:.{digits}f}" if cell["seeds"] > 1 else ""
        return f"{cell['mean']:.{digits}f}{spread}"
    return f"{cell:.{digits}f}"
