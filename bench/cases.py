"""The cases of the bench as data: which operation, on which sizes, type and kind of data.

A case says what is measured, never how: ``bench/kernels``, ``bench/estimators`` and
``bench/others`` hold the calls. The figures a case is held against are in ``bench.goals``.

Cases of optimal transport (``TRANSPORT``): ``sinkhorn``, ``scaling`` and ``lazy`` are one iteration
in the log domain, in the scaling form and on points whose costs are not stored; ``batch`` is 50
iterations of many small problems, ``codes`` three iterations on scores, ``solve`` a problem solved
to a tolerance, ``episodes`` few-shot tasks from features to predicted labels.

``hals`` and ``masked`` are one sweep of coordinate descent over a factor (n, k) of X (n, d), from
products with X or from its cells and their weights.

``plsa`` is one step for a sparse table (n, d) and k components, ``fold`` 100 iterations for the
weights of its rows, ``shift`` and ``tempered`` the posteriors of n rows with d classes in k domains,
to the power 1 and 3.

``moments`` are the scatters of k classes of rows, ``softmax`` the posteriors of d classes from scores
X (n, d).

``nmf`` and ``counts`` are whole factorisations, of a dense matrix (n, d) and of a sparse table of
counts, see ``factor_fits``.

Cases of semidefinite programs (``SDP``): ``relaxation`` is that of k-means, ``likelihood`` that of
Gaussian groups with known covariances, both solved to a tolerance; ``mixture`` finds such groups
from rows alone, ``sketch`` the clusters of more rows than a solver takes, ``certificate`` proves a
partition optimal and ``bound`` says how far from that it can be.

``pairing`` is a linear assignment of n rows to k columns, see ``pairings``.

Cases of bounded sizes (``QUOTAS``): ``quotas`` and ``capacity`` are one exact assignment to k
clusters of n/k rows, from points and from a stored matrix, ``balanced`` a whole fit.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

SHARE_OF_CELLS = 0.17  # of a sparse table that hold something
TRANSPORT = ("sinkhorn", "scaling", "lazy", "batch", "codes", "solve", "episodes")
SDP = ("relaxation", "likelihood", "mixture", "sketch", "certificate", "bound")
QUOTAS = ("quotas", "capacity", "balanced")
ITERATED = ("sinkhorn", "scaling", "lazy")  # the time of one iteration, without the set-up
QUOTA_SIZES = ((5000, 50), (50_000, 50), (50_000, 500), (200_000, 100), (1_000_000, 100))


@dataclass(frozen=True)
class Case:
    """One measurement: ``op`` on X (n, d) against Y (k, d), or on ``problems`` such pairs.

    ``epsilon`` is the strength of a transport problem whose largest cost is 1 (of codes: of scores).
    A semidefinite program has k clusters, whose centres are ``separation`` standard deviations
    apart, and ``rank`` columns (of ``likelihood`` and ``mixture``: for each group).
    """

    op: str
    n: int
    d: int
    k: int
    dtype: str = "float32"
    data: str = "gaussian"
    metric: str = "sqeuclidean"
    goals: tuple[str, ...] = ()
    epsilon: float | None = None
    problems: int = 1
    separation: float | None = None
    rank: int | None = None

    top = 10
    tol = 1e-6

    @property
    def name(self) -> str:
        metric = "" if self.metric == "sqeuclidean" else f"-{self.metric}"
        epsilon = "" if self.epsilon is None else f"-eps{self.epsilon:g}"
        problems = "" if self.problems == 1 else f"-x{self.problems}"
        apart = "" if self.separation is None else f"-sep{self.separation:g}"
        rank = "" if self.rank is None else f"-r{self.rank}"
        sizes = f"n{self.n}-d{self.d}-k{self.k}{epsilon}{problems}{apart}{rank}"
        return f"{self.op}{metric}-{self.dtype}-{self.data}-{sizes}"

    @property
    def iterations(self) -> int:
        """Iterations of a call that makes a fixed number of them."""
        return {"fit": 20, "batch": 50, "codes": 3, "fold": 100}.get(self.op, 1)

    @property
    def counts(self) -> tuple[int, int]:
        """Iterations (few, many) whose difference in time is measured where set-up must cancel.

        Ten iterations lie between, of which POT checks its error in one; on large problems two,
        where no check of POT's falls in, or sixty if an iteration is short beside the set-up.
        """
        if self.n * self.k <= 20_000_000:
            return 1, 11
        return (1, 61) if self.op == "scaling" else (1, 3)

    @property
    def itemsize(self) -> int:
        return 8 if self.dtype == "float64" else 4

    @property
    def flops(self) -> int:
        """Operations nobody can avoid without screening or bounds: 2 n k d per dense pass.

        An entry of a stored cost counts as one multiply-add per iteration, two in the scaling form
        (a product with the kernel, one with its transpose). That is no floor where exponentials
        are taken (``records.has_floor``), but lets the probe's speed cancel; nor is it one for
        semidefinite programs, whose number of iterations is up to the solver, nor for clusters of
        bounded sizes, but for the distances of ``quotas``.
        """
        entries = self.problems * self.n * self.k
        if self.op == "sums":
            return self.n * self.d
        if self.op == "moments":  # one triangle
            return self.n * self.d * (self.d + 1)
        if self.op == "softmax":
            return 4 * self.n * self.d
        if self.op == "hals":
            return 2 * self.n * self.k**2
        if self.op in ("capacity", "pairing"):
            return 2 * entries
        if self.op in ("plsa", "fold"):  # sums and two products, for the cells that are there
            return 6 * int(SHARE_OF_CELLS * self.n * self.d) * self.k * self.iterations
        if self.op in ("shift", "tempered"):
            return 6 * self.n * self.d
        if self.op == "masked":  # residuals, curvatures, and the sweep
            return 8 * entries * self.d
        if self.op in TRANSPORT and self.op != "lazy":
            return self.iterations * entries * (4 if self.op == "scaling" else 2)
        return self.iterations * 2 * entries * self.d

    @property
    def bytes(self) -> int:
        """Bytes that must move once: inputs read, outputs written."""
        entries = self.problems * self.n * self.k
        if self.op in SDP or self.op == "balanced":
            return self.n * self.d * self.itemsize
        if self.op in ("sinkhorn", "scaling", "batch", "solve", "capacity", "pairing"):
            return entries * self.itemsize
        if self.op == "moments":
            return self.n * self.d * self.itemsize + self.k * self.d**2 * 8
        if self.op == "softmax":
            return 2 * self.n * self.d * self.itemsize
        if self.op == "codes":
            return 2 * entries * self.itemsize
        if self.op in ("plsa", "fold"):
            return int(SHARE_OF_CELLS * self.n * self.d) * (4 + self.itemsize)
        if self.op in ("shift", "tempered"):
            return self.n * (self.d * self.itemsize + 4)
        if self.op in ("hals", "masked"):  # the factor both ways, and products or cells and weights
            return (
                2 * entries + (entries if self.op == "hals" else 2 * self.n * self.d)
            ) * self.itemsize
        rows = {"topk": 2 * self.top * self.itemsize, "distances": self.k * self.itemsize}
        outputs = self.problems * self.n * rows.get(self.op, self.itemsize)
        return self.problems * (self.n + self.k) * self.d * self.itemsize + outputs

    def with_rows(self, limit: int) -> "Case":
        """The same case with at most ``limit`` rows, second points and problems.

        A case that was cut has no goals: they speak of sizes at which fixed costs do not show.
        """
        cut = replace(
            self,
            n=min(self.n, limit),
            k=min(self.k, limit),
            problems=min(self.problems, limit),
        )
        return self if cut == self else replace(cut, goals=())


def _argmin_goals(d: int, k: int) -> tuple[str, ...]:
    return ("argmin",) + ("argmin narrow",) * (d <= 64) + ("screened",) * (k >= 1024)


def _sweep(n: int, k: int, dtype: str = "float32") -> Case:
    """A sweep over a factor of rows with twice as many columns."""
    goals = (f"hals {dtype}",) if k >= 20 else ()
    return Case("hals", n, 2 * k, k, dtype=dtype, goals=goals)


def _posteriors(op: str, n: int = 1_000_000, k: int = 10_000, **options) -> Case:
    """The step of expectation maximisation for ten classes in k domains."""
    return Case(op, n, 10, k, goals=("posterior",), **options)


def _sinkhorn(op: str, n: int, *, k: int = 0, d: int = 64, **options) -> Case:
    """A transport case on points of the unit sphere."""
    return Case(op, n, d, k or n, **{"data": "sphere", "epsilon": 0.05} | options)


def _solve(epsilon: float, data: str = "sphere", dtype: str = "float64") -> Case:
    goal = "solve easy" if epsilon >= 0.01 else f"solve {epsilon}"
    return _sinkhorn("solve", 1000, dtype=dtype, data=data, epsilon=epsilon, goals=(goal,))


def _quotas(op: str, n: int, k: int, dtype: str = "float64", **options) -> Case:
    """Rows of the unit sphere, and centres that k-means++ draws from them."""
    return Case(op, n, 64, k, dtype=dtype, data="zipf", **options)


def _assignments(n: int, k: int) -> Iterator[Case]:
    """The same assignment from a stored matrix and from points of both types."""
    goals = ("assignment of paths",) if k == 500 else ("assignment",)
    peers = ("assignment peers",) if (n, k) == (50_000, 50) else ()
    yield _quotas("capacity", n, k, goals=goals + peers)
    yield _quotas("quotas", n, k, goals=goals)
    yield _quotas("quotas", n, k, dtype="float32")


def _pairings(n: int, k: int, dtype: str = "float64") -> Iterator[Case]:
    """Every kind of costs; products take by far the longest, and are square."""
    for data in ("uniform", "gaussian", "integers", "products"):
        if n == k or data != "products":
            d = 8 if data == "gaussian" else k  # of all others X is the matrix of costs
            goals = ("pairing",) * (n >= 500)
            yield Case("pairing", n, d, k, dtype=dtype, data=data, goals=goals)


def _balls(op: str, n: int, k: int = 4, d: int = 20, **options) -> Case:
    """A semidefinite case on unit noise around centres; rank two for each cluster."""
    options = {"dtype": "float64", "data": "balls", "separation": 6.0} | options
    return Case(op, n, d, k, **options)


def _relaxation(n: int, k: int = 4, **options) -> Case:
    return _balls("relaxation", n, k, **{"rank": 2 * k} | options)


def _groups(op: str, n: int, d: int = 10, **options) -> Case:
    """Three ellipsoids that differ in their directions."""
    return _balls(op, n, 3, d, **{"data": "ellipsoids", "rank": 3} | options)


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
    *(Case("moments", n, d, k) for n, d, k in ((50_000, 512, 10), (200_000, 64, 100))),
    Case("moments", 50_000, 512, 10, dtype="float64"),
    *(Case("softmax", n, k, 1) for n, k in ((1_000_000, 10), (50_000, 1000))),
    *(_sweep(n, k) for n, k in ((100_000, 10), (100_000, 20), (20_000, 50), (10_000, 100))),
    *(_sweep(n, k, dtype="float64") for n, k in ((100_000, 20), (10_000, 100))),
    *(Case("masked", n, d, 20) for n, d in ((5000, 100), (1000, 1000))),
    *(Case("plsa", 2000, 10_000, 20, dtype=t, goals=("plsa",)) for t in ("float32", "float64")),
    Case("fold", 10_000, 90, 10),
    *(_posteriors(op, dtype=t) for op in ("shift", "tempered") for t in ("float32", "float64")),
    _posteriors("tempered", n=10_000_000),
    Case("counts", 10_000, 50_000, 20, dtype="float64"),
    *(Case("nmf", 100_000, 200, 20, dtype=dtype) for dtype in ("float32", "float64")),
    Case("fit", 200_000, 64, 256, goals=("fit",)),
    Case("fit", 200_000, 64, 256, data="clustered", goals=("fit clustered",)),
    Case("fit", 200_000, 64, 256, data="separated", goals=("fit clustered",)),
    *(_sinkhorn("sinkhorn", n, goals=(f"sinkhorn n={n}",)) for n in (1024, 3008, 10_016)),
    *(_sinkhorn("sinkhorn", n, dtype="float64") for n in (1024, 3008, 10_016)),
    *(_sinkhorn("scaling", n, goals=("scaling",)) for n in (1024, 3008, 10_016)),
    *(_sinkhorn("scaling", n, dtype="float64") for n in (1024, 3008)),
    *(_sinkhorn("lazy", n) for n in (1024, 3008)),
    _sinkhorn("lazy", 10_000, goals=("lazy",)),
    _sinkhorn("batch", 5, k=75, problems=2000, goals=("batch",)),
    _sinkhorn("codes", 4096, k=3000, d=128, goals=("codes",)),
    *(
        _solve(epsilon, data)
        for data in ("sphere", "clustered")
        for epsilon in (0.05, 0.01, 0.003, 0.001)
    ),
    *(_solve(epsilon, dtype="float32") for epsilon in (0.003, 0.001)),
    _sinkhorn("episodes", 5, k=75, data="clustered", problems=2000, goals=("episodes",)),
    *(
        _relaxation(n, d=10, rank=16, separation=5, goals=("relaxation n=300",) * (n == 300))
        for n in (30, 50, 100, 150, 200, 300)
    ),
    *(_relaxation(n) for n in (2000, 10_000)),
    *(_relaxation(20_000, 5, separation=separation) for separation in (6, 3)),
    _relaxation(100_000, goals=("relaxation n=100000",)),
    _relaxation(100_000, dtype="float32"),
    _relaxation(1_000_000),
    *(_groups("likelihood", n, d=4) for n in (30, 60, 90)),
    _groups("likelihood", 50_000, goals=("likelihood n=50000",)),
    _groups("likelihood", 50_000, rank=1),
    *(_groups("mixture", n, rank=1) for n in (300, 5000)),
    _groups("mixture", 50_000),
    _balls("sketch", 1_000_000, 8, goals=("sketch",)),
    _balls("certificate", 100_000, separation=11, goals=("certificate",)),
    _balls("bound", 1000, goals=("bound",)),
    _balls("bound", 20_000, goals=("bound of blocks",)),
    *(case for n, k in QUOTA_SIZES for case in _assignments(n, k)),
    *(_quotas("balanced", n, 50, goals=(f"balanced n={n}",)) for n in (5000, 20_000)),
    *(case for n in (100, 500, 1000, 2000, 4000) for case in _pairings(n, n)),
    *_pairings(500, 5000),
    *_pairings(1000, 1000, dtype="float32"),
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
    Case("moments", 20_000, 128, 10),
    Case("softmax", 100_000, 10, 1),
    *(_sweep(20_000, 20, dtype=dtype) for dtype in ("float32", "float64")),
    Case("masked", 2000, 100, 20),
    Case("plsa", 500, 5000, 20),
    Case("fold", 2000, 90, 10),
    _posteriors("tempered", n=200_000, k=1000),
    Case("nmf", 2000, 100, 10),
    Case("counts", 500, 1000, 10, dtype="float64"),
    Case("fit", 50_000, 64, 256, goals=("fit",)),
    Case("fit", 50_000, 64, 256, data="clustered", goals=("fit clustered",)),
    _sinkhorn("sinkhorn", 1024, goals=("sinkhorn n=1024",)),
    _sinkhorn("scaling", 1024, goals=("scaling",)),
    _sinkhorn("lazy", 2000),
    _sinkhorn("batch", 5, k=75, problems=200),
    _sinkhorn("codes", 1024, k=1000, d=128),
    _solve(0.05),
    _solve(0.003),
    _sinkhorn("episodes", 5, k=75, data="clustered", problems=100),
    *(_relaxation(n, d=10, rank=16, separation=5) for n in (50, 100)),
    _relaxation(5000),
    _groups("likelihood", 5000),
    _groups("mixture", 300, rank=1),
    _balls("sketch", 100_000, 8),
    _balls("certificate", 10_000, separation=11),
    _balls("bound", 300),
    *(_quotas(op, 5000, 50) for op in QUOTAS),
    *_pairings(300, 300),
)


def select(cases: Iterable[Case], patterns: Iterable[str]) -> list[Case]:
    """Cases whose name holds one of the patterns (shell wildcards allowed); all without any."""
    patterns = list(patterns)
    return [
        case
        for case in cases
        if not patterns or any(fnmatchcase(case.name, f"*{pattern}*") for pattern in patterns)
    ]
