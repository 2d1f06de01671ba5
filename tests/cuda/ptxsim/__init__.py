"""A simulator of PTX on NumPy: runs what nvcc or NVRTC emits where there is no GPU.

It checks what a device would not: bounds and alignment of every access, races in shared memory and
between blocks, barriers that not all threads reach. And it counts what a kernel asks of the memory system; the
model is that of :mod:`tests.cuda.ptxsim.counters`.
"""

from tests.cuda.ptxsim.counters import Counters
from tests.cuda.ptxsim.errors import PtxError
from tests.cuda.ptxsim.launch import run

__all__ = ["Counters", "PtxError", "run"]
