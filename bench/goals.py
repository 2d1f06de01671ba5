"""The figures that cases are held against, as data: see ``bench.verdict``."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Goal:
    """What a group of cases should reach.

    ``floor`` bounds our time over the arithmetic floor, ``peers`` bounds a peer's time over ours
    (keys are beginnings of contestants' names, of which the fastest counts; "" is everybody who
    gives the whole answer).
    ``narrow`` asks for our figure with (True) or without (False) the screen in 16-bit integers.
    ``seconds`` and ``sweeps`` bound our time and the number of iterations of a ``solve``;
    ``scaling`` bounds one thread's time over that of two, ``error`` that of our answer.
    """

    text: str
    floor: float | None = None
    peers: dict[str, float] = field(default_factory=dict)
    narrow: bool | None = None
    seconds: float | None = None
    sweeps: int | None = None
    scaling: float | None = None
    error: float | None = None


RELAXED_ERROR = 1e-4  # of an objective, relative to the cost: what rank and tolerance may lose
CERTIFIED = 1e-12  # of an assignment: its cost above its own lower bound

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
        scaling=1.9,
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
    "hals float32": Goal("coordinate sweep, k >= 20, float32", peers={"sklearn": 5.0}),
    "hals float64": Goal("coordinate sweep, k >= 20, float64", peers={"sklearn": 2.5}),
    "plsa": Goal("step of PLSA, 17 % of the cells", peers={"sklearn": 8.0}),
    "posterior": Goal("posteriors and sums by domain", peers={"numpy": 10.0}),
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
    **{
        f"sinkhorn n={n}": Goal(
            f"log-domain iteration, n = {n}, float32",
            peers={"pot sinkhorn_log": bound, "pot float64 sinkhorn_log": 55.0},
            scaling=1.8 if n == 10_016 else None,
        )
        for n, bound in ((1024, 45.0), (3008, 22.0), (10_016, 16.0))
    },
    "scaling": Goal("scaling iteration over one read of the kernel", peers={"read": 1 / 1.5}),
    "lazy": Goal("iteration on points, d = 64, n = 10 000", peers={"sgemm": 1 / 1.1}),
    "batch": Goal("4.2 us for 50 iterations on 5 x 75", seconds=2000 * 4.2e-6),
    "codes": Goal("codes of 4096 x 3000, 3 iterations", peers={"torch": 6.0}),
    "solve easy": Goal("solve, costs / epsilon <= 100", peers={"plain": 1 / 1.3}),
    "solve 0.003": Goal("solve to 1e-6, epsilon 0.003", sweeps=200),
    "solve 0.001": Goal("solve to 1e-6, epsilon 0.001", sweeps=620),
    "episodes": Goal("2000 episodes end to end", seconds=1.0),
    "relaxation n=300": Goal(
        "relaxation of 300 rows", peers={"cvxpy SCS": 240.0}, error=RELAXED_ERROR
    ),
    "relaxation n=100000": Goal("relaxation of 100 000 rows", seconds=1.1, error=RELAXED_ERROR),
    "likelihood n=50000": Goal("likelihood of 50 000 rows, rank 3", seconds=2.5),
    "sketch": Goal(
        "clusters of 1 000 000 rows",
        peers={"sklearn MiniBatchKMeans": 0.5},
        error=1e-3,
    ),
    "certificate": Goal("proof for 100 000 rows", seconds=2.0, error=1e-12),
    "bound": Goal("gap of 1000 rows", seconds=5.0, error=1e-4),
    "assignment": Goal("optimal clusters of n/k rows", peers={"prototype": 1.5}, error=CERTIFIED),
    "assignment of paths": Goal(
        "optimal clusters where paths decide", peers={"prototype": 3.0}, error=CERTIFIED
    ),
    "assignment peers": Goal(
        "optimal clusters, 50 000 x 50", peers={"pot": 40.0, "k-means-constrained": 40.0}
    ),
    **{
        f"balanced n={n}": Goal(
            f"balanced k-means of {n} rows", peers={"k-means-constrained": bound}, error=1e-3
        )
        for n, bound in ((5000, 20.0), (20_000, 40.0))
    },
    "pairing": Goal("linear assignment, n >= 500", peers={"scipy": 1.5}, error=CERTIFIED),
    "bound of blocks": Goal("gap of 20 000 rows", seconds=30.0, error=3e-3),
}
