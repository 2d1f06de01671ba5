"""One read of the matrix that every iteration must read: the floor where memory is what bounds."""

from bench.floors.build import load_library

DISTRIBUTION = None


def entries(problem):
    if problem.case.op in ("sinkhorn", "scaling"):
        yield "read once", lambda: _setup(problem)


def _setup(problem):
    matrix = problem.kernel if problem.case.op == "scaling" else problem.cost
    read, threads = load_library().read_seconds, problem.threads
    floats = matrix.nbytes // 4

    def call():
        read(matrix.ctypes.data, floats, threads)

    return call
