"""The cases of the bench as data: which operation, on which sizes, type and kind of data.

A case says what is measured, never how: ``bench/kernels``, ``bench/estimators`` and
``bench/others`` hold the calls. ``GOALS`` are the figures a case is held against.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Goal:
    """What a group of cases should reach.

    ``floor`` bounds our time over the arithmetic floor, ``peers`` bounds a peer's time over ours
    (keys are beginnings of contestants' names, of which the fastest counts; "" is everybody who
    gives the whole answer).
    ``narrow`` asks for our figure with (True) or without (False) the screen in 16-bit integers.
    """

    text: str
    floor: float | None = None
    peers: dict[str, float] = field(default_factory=dict)
    narrow: bool | None = None


GOALS = {
    "argmin": Goal(
        "argmin, d 64..768, k >= 256, float32 instructions",
        floor=1.10,
        peers={
            "sgemm": 1.0,
            "faiss": 1.1,
            "sklearnex": 1.15,
            "sklearn predict": 1.2,
            "sklearn pairwise_distances_argmin": 2.4,
        },
        narrow=False,
    ),
    "argmin narrow": Goal("argmin, d <= 64, k >= 256", peers={"faiss": 1.5}),
    "screened": Goal("argmin screened in 16 bits, k >= 1024", floor=0.75, narrow=True),
    "screened hard": Goal("argmin screened in 16 bits, hard data", floor=1.2, narrow=True),
    "argmin d=16": Goal("argmin, d = 16, k >= 256", floor=1.25, peers={"": 1.0}),
    "argmin d=2": Goal("argmin, d = 2, k >= 256", floor=2.4, peers={"": 1.0}),
    "argmin k=16": Goal("argmin, k = 16, d >= 16", floor=2.6, peers={"": 1.0}),
    "float64": Goal("argmin in float64, k >= 1024", floor=0.55),
    "topk": Goal("top 10 of 20 000 and more", floor=1.40, peers={"faiss": 1.3, "sklearn": 3.0}),
    "logsumexp": Goal("log-sum-exp 10k x 10k", floor=1.4, peers={"torch": 5.0, "scipy": 20.0}),
    "distances": Goal(
        "full matrix, d >= 64",
        floor=1.3,
        peers={"torch cdist": 2.5, "sklearn": 7.0, "numkong cdist": 10.0},
    ),
    "fit": Goal(
        "KMeans, 20 iterations, unstructured",
        floor=1.15,
        peers={"faiss": 1.7, "sklearn": 2.0, "sklearnex": 2.5},
    ),
    "fit clustered": Goal(
        "KMeans, 20 iterations, clustered",
        floor=0.5,
        peers={"faiss": 4.0, "sklearn": 5.0, "sklearnex": 6.0},
    ),
}
SCALING_GOAL = 1.9  # one thread's time over two threads' time, on the cases of goal "argmin"


@dataclass(frozen=True)
class Case:
    """One measurement: ``op`` on X (n, d) against Y (k, d)."""

    op: str
    n: int
    d: int
    k: int
    dtype: str = "float32"
    data: str = "gaussian"
    metric: str = "sqeuclidean"
    goals: tuple[str, ...] = ()

    top = 10
    iterations = 20

    @property
    def name(self) -> str:
        metric = "" if self.metric == "sqeuclidean" else f"-{self.metric}"
        return f"{self.op}{metric}-{self.dtype}-{self.data}-n{self.n}-d{self.d}-k{self.k}"

    @property
    def itemsize(self) -> int:
        return 8 if self.dtype == "float64" else 4

    @property
    def flops(self) -> int:
        """Operations nobody can avoid without screening or bounds: 2 n k d per dense pass."""
        if self.op == "sums":
            return self.n * self.d
        passes = self.iterations if self.op == "fit" else 1
        return passes * 2 * self.n * self.k * self.d

    @property
    def bytes(self) -> int:
        """Bytes that must move once: inputs read, outputs written."""
        rows = {"topk": 2 * self.top * self.itemsize, "distances": self.k * self.itemsize}
        outputs = self.n * rows.get(self.op, self.itemsize)
        return (self.n + self.k) * self.d * self.itemsize + outputs

    def with_rows(self, limit: int) -> "Case":
        """The same case with at most ``limit`` rows (and no more second points than that).

        A case that was cut has no goals: they speak of sizes at which fixed costs do not show.
        """
        cut = replace(self, n=min(self.n, limit), k=min(self.k, limit))
        return self if cut == self else replace(cut, goals=())


def _argmin_goals(d: int, k: int) -> tuple[str, ...]:
    return ("argmin",) + ("argmin narrow",) * (d <= 64) + ("screened",) * (k >= 1024)


CASES = (
    *(
        Case("argmin", 200_000, d, k, goals=_argmin_goals(d, k))
        for d in (64, 128, 256, 768)
        for k in (256, 1024)
    ),
    Case("argmin", 100_000, 128, 4096, goals=_argmin_goals(128, 4096)),
    *(
        Case("argmin", 200_000, 128, 1024, data=data, goals=("screened hard",))
        for data in ("clustered", "sphere", "offset", "far", "ties")
    ),
    *(Case("argmin", 200_000, 16, k, goals=("argmin d=16", "argmin narrow")) for k in (256, 1024)),
    *(Case("argmin", 200_000, 2, k, goals=("argmin d=2", "argmin narrow")) for k in (256, 1024)),
    *(Case("argmin", 200_000, d, 16, goals=("argmin k=16",)) for d in (16, 64, 256)),
    *(
        Case("argmin", 50_000, d, k, dtype="float64", goals=("float64",))
        for d in (64, 256)
        for k in (1024, 4096)
    ),
    *(Case("topk", 10_000, d, 20_000, goals=("topk",)) for d in (16, 64, 256)),
    Case("topk", 100_000, 64, 1024),
    Case("logsumexp", 10_000, 64, 10_000, goals=("logsumexp",)),
    Case("logsumexp", 10_000, 16, 10_000),
    *(Case("distances", 10_000, d, 10_000, goals=("distances",)) for d in (64, 256)),
    Case("distances", 10_000, 64, 10_000, metric="euclidean", goals=("distances",)),
    Case("sums", 200_000, 64, 256),
    Case("fit", 200_000, 64, 256, goals=("fit",)),
    Case("fit", 200_000, 64, 256, data="clustered", goals=("fit clustered",)),
    Case("fit", 200_000, 64, 256, data="separated", goals=("fit clustered",)),
)

SHORT = (
    Case("argmin", 50_000, 64, 256, goals=_argmin_goals(64, 256)),
    Case("argmin", 20_000, 128, 1024, goals=_argmin_goals(128, 1024)),
    Case("argmin", 5_000, 768, 1024, goals=_argmin_goals(768, 1024)),
    Case("argmin", 20_000, 128, 1024, data="ties", goals=("screened hard",)),
    Case("argmin", 100_000, 16, 256, goals=("argmin d=16", "argmin narrow")),
    Case("argmin", 200_000, 2, 256, goals=("argmin d=2", "argmin narrow")),
    Case("argmin", 100_000, 64, 16, goals=("argmin k=16",)),
    Case("argmin", 20_000, 64, 1024, dtype="float64", goals=("float64",)),
    Case("topk", 2_000, 64, 20_000, goals=("topk",)),
    Case("logsumexp", 4_000, 64, 4_000, goals=("logsumexp",)),
    Case("distances", 4_000, 64, 4_000, goals=("distances",)),
    Case("distances", 4_000, 64, 4_000, metric="euclidean", goals=("distances",)),
    Case("sums", 100_000, 64, 256),
    Case("fit", 50_000, 64, 256, goals=("fit",)),
    Case("fit", 50_000, 64, 256, data="clustered", goals=("fit clustered",)),
)


def select(cases: Iterable[Case], patterns: Iterable[str]) -> list[Case]:
    """Cases whose name holds one of the patterns (shell wildcards allowed); all without any."""
    patterns = list(patterns)
    return [
        case
        for case in cases
        if not patterns or any(fnmatchcase(case.name, f"*{pattern}*") for pattern in patterns)
    ]
