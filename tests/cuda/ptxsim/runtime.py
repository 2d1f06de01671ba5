"""The stand-in for the CUDA runtime that runs the PTX of every kernel."""

from tests.cuda.compiling import compile_source
from tests.cuda.emul.arrays import as_host
from tests.cuda.emul.emulator import EmulatedRuntime
from tests.cuda.ptxsim.counters import Counters
from tests.cuda.ptxsim.launch import run

__all__ = ["SimulatedRuntime"]


class SimulatedRuntime(EmulatedRuntime):
    """Has the arrays of the emulated runtime, but launches what nvcc has made of the sources.

    Parameters
    ----------
    counting : bool, default=False
        Whether to count what launches do.

    Attributes
    ----------
    counters : dict
        {kernel: Counters}, of all its launches.
    """

    def __init__(self, counting=False):
        super().__init__()
        self._counting, self.counters = counting, {}

    def launch(self, instance, grid, *args):
        """Run every block of a kernel in the simulator."""
        blocks = grid if isinstance(grid, tuple) else (int(grid),)
        if min(blocks) == 0:
            return
        compiled = compile_source(instance.source, self.folder)
        arguments = [as_host(arg) for arg in args]
        symbol = compiled.symbols[instance.kernel]
        counters = None
        if self._counting:
            counters = self.counters.setdefault(instance.kernel, Counters())
        run(compiled.ptx, symbol, (*blocks, 1)[:2], instance.threads, arguments, counters)
        self.launched.append((instance, grid))
