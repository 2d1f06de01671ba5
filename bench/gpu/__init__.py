"""The kernels on a CUDA device, beside floors and peers: ``python -m bench.gpu``.

Without CuPy or a device it says so in one line and stops.
"""
