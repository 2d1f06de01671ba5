"""The second scoring of rows in doubt by cuBLAS, whose error may exceed that of tensor cores."""

import numpy as np

from clusterlib.kernels import pairwise_argmin
from clusterlib.kernels._cupy import pairwise_argmin as passes
from tests.cuda.emul.arrays import as_host


def test_products_may_err_by_as_much_as_a_sum_in_any_order(emulation, monkeypatch):
    monkeypatch.setattr(passes, "_DOUBTS_FOR_PRODUCTS", 1)
    m, d = 40, 768
    rng = np.random.default_rng(0)
    Y = rng.uniform(1, 2, (m, d)).astype(np.float32)
    Y[2:] *= np.float32(0.5)
    Y[1] = Y[0]
    Y[1, 0] = np.nextafter(Y[0, 0], np.float32(3))  # by a hair the nearest
    X = Y[:1].copy()
    multiply = emulation.matmul

    def with_errors(A, B, out):
        multiply(A, B, out)
        norms = (np.linalg.norm(as_host(M).astype(np.float64), axis=1) for M in (A, B))
        worst = (d * 2.0**-24 * np.multiply.outer(*norms)).astype(np.float32)
        as_host(out)[:, 1] -= np.float32(0.9) * worst[:, 1]

    monkeypatch.setattr(emulation, "matmul", with_errors)
    labels = pairwise_argmin(*map(emulation.to_device, (X, Y)), metric="inner_product")
    used = [instance.kernel for instance, _ in emulation.launched]
    assert any("TensorTile" in kernel for kernel in used) and "exact_rows" in " ".join(used)
    assert emulation.to_host(labels).tolist() == [1]
