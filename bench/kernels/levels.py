"""Under which names and at which instruction sets our kernels compete."""

from importlib import import_module

NARROW, WIDE = "avx512_vnni", "avx512"


def native():
    """The compiled kernels, or None where they are not built."""
    try:
        return import_module("clusterlib.kernels._native")
    except ImportError:
        return None


def active_isa() -> str:
    """Instruction set of the compiled kernels; "none" where they are not built."""
    module = native()
    return module.isa() if module else "none"


def isa_of(name):
    """Instruction set of a contestant of ours, from its name."""
    return name.partition(" ")[2] or active_isa()


def contestants(call, backend=None):
    """Pairs (name, setup) of a call: as installed, and once more with the screen in float32.

    The second one runs where the machine has 16-bit products, so that both kinds of figure come
    from one run.
    """
    yield "clusterlib", lambda: call
    if active_isa() == NARROW and backend in (None, "native"):
        yield f"clusterlib {WIDE}", lambda: at_level(WIDE, call)


def at_level(isa, call):
    """The call with the kernels held at an instruction set, which is undone afterwards."""
    module = native()

    def held():
        previous = module.isa()
        module.set_isa(isa)
        try:
            return call()
        finally:
            module.set_isa(previous)

    return held
