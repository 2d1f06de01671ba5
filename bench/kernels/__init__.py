"""Our kernels as contestants: one file per family, the interface of ``bench.others``."""

ADAPTERS = (
    "bench_pairwise",
    "bench_assignment",
    "bench_linear_assignment",
    "bench_centers",
    "bench_sinkhorn",
    "bench_nonnegative",
    "bench_mixtures",
    "bench_moments",
    "bench_softmax",
)
