"""What the numbers were measured on."""

import platform
from pathlib import Path

from threadpoolctl import threadpool_info

from clusterlib.config import default_threads
from clusterlib.installation import describe_config


def count_threads() -> int:
    """Count the threads that both libraries may use.

    Returns
    -------
    int
        clusterlib's default, or what the OpenMP runtimes already loaded allow, if that is less.
    """
    pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "openmp"]
    return min([default_threads(), *pools])


def _processor() -> str:
    table = Path("/proc/cpuinfo")
    if table.exists():
        for line in table.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def describe_machine(n_threads: int) -> dict[str, str]:
    """Name the machine, the kernels and the versions.

    Parameters
    ----------
    n_threads : int
        Threads given to both libraries.

    Returns
    -------
    dict of str to str
        Readable texts, in the order to show them.
    """
    facts = describe_config()
    return {
        "processor": f"{_processor()}, {platform.system()} {platform.machine()}",
        "threads": f"{n_threads}, for both libraries",
        "kernels": facts["backend"],
        "instructions": facts["isa"],
        "versions": facts["versions"],
    }
