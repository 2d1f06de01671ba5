"""Our estimators as contestants: the interface of ``bench.others``."""

ADAPTERS = (
    "bench_k_means",
    "bench_balanced",
    "bench_transport",
    "bench_sdp",
    "bench_certificates",
    "bench_nmf",
)
