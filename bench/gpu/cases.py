"""The cases on a CUDA device as data: which operation, on which sizes and dtype.

``argmin``, ``distances``, ``topk`` (10 nearest) and ``logsumexp`` compare X (n, d) with Y (k, d);
``sums`` adds the rows of k clusters, ``sinkhorn`` is half an iteration on a stored cost (n, k) with
the column sums, ``points`` nine iterations between points and one more update of the rows,
``moments`` weights, means and scatters of k classes in float64, ``softmax`` posteriors and labels
from scores (n, k), and ``fit`` 20 iterations of k-means with k centres.
"""

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

TOP = 10
ITERATIONS = 20
SWEEPS = 10  # updates of the rows, of ``points``
EPSILON = 0.05  # of a cost between 0 and 1


@dataclass(frozen=True)
class Case:
    """One measurement; d is 1 where an operation has no features."""

    op: str
    n: int
    d: int
    k: int
    dtype: str = "float32"

    @property
    def name(self) -> str:
        return f"{self.op}-{self.dtype}-n{self.n}-d{self.d}-k{self.k}"

    @property
    def itemsize(self) -> int:
        return 8 if self.dtype == "float64" else 4

    @property
    def epsilon(self) -> float:
        """As much of the mean cost; squared distances of normal rows are 2 d on average."""
        return EPSILON * 2 * self.d if self.op == "points" else EPSILON

    @property
    def products_in(self) -> str:
        """The dtype that the contract of the operation multiplies in."""
        return "float64" if self.op == "moments" else self.dtype

    @property
    def flops(self) -> int:
        """Multiply-adds, twice, that a dense pass cannot avoid; exponentials are not counted."""
        pairs = self.n * self.k
        return {
            "sums": self.n * self.d,
            "sinkhorn": 2 * pairs,
            "softmax": 2 * pairs,
            "moments": self.n * self.d * (self.d + 1),  # one triangle of the products
            "fit": ITERATIONS * 2 * pairs * self.d,
            "points": SWEEPS * 2 * pairs * self.d,
        }.get(self.op, 2 * pairs * self.d)

    @property
    def bytes(self) -> int:
        """Bytes that must move once: inputs read, outputs written."""
        cells, pairs = self.n * self.d * self.itemsize, self.n * self.k * self.itemsize
        both = cells + self.k * self.d * self.itemsize
        return {
            "argmin": both + 4 * self.n,
            "distances": both + pairs,
            "topk": both + self.n * TOP * (self.itemsize + 4),
            "logsumexp": both + self.n * self.itemsize,
            "points": SWEEPS * both,
            "sums": cells + 4 * self.n + 8 * self.k * self.d,
            "sinkhorn": pairs,
            "softmax": 2 * pairs,
            "moments": cells + 4 * self.n + 8 * self.k * self.d * (self.d + 1),
            "fit": ITERATIONS * cells,
        }[self.op]

    def cut(self, rows: int) -> "Case":
        """The same case with at most so many rows and columns."""
        return replace(self, n=min(self.n, rows), k=min(self.k, rows))


CASES = (
    Case("argmin", 1_000_000, 16, 256),
    Case("argmin", 1_000_000, 64, 1000),
    Case("argmin", 1_000_000, 768, 4096),
    Case("argmin", 200_000, 64, 1000, "float64"),
    Case("distances", 20_000, 16, 20_000),
    Case("distances", 20_000, 64, 20_000),
    Case("logsumexp", 100_000, 64, 10_000),
    Case("topk", 1_000_000, 64, 10_000),
    Case("sums", 1_000_000, 64, 1000),
    Case("sinkhorn", 10_000, 1, 10_000),
    Case("points", 20_000, 64, 20_000),
    Case("moments", 50_000, 512, 20),
    Case("softmax", 1_000_000, 1, 100),
    Case("fit", 1_000_000, 64, 256),
)


def select(patterns: list[str]) -> list[Case]:
    """Cases whose name contains one of the patterns or matches it; all without patterns."""
    return [
        case
        for case in CASES
        if not patterns or any(fnmatchcase(case.name, f"*{pattern}*") for pattern in patterns)
    ]
