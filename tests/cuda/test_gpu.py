"""What only a CUDA device can show: its compiler, its library and its order of threads.

``pytest -m gpu`` runs these alone, ``pytest tests/cuda --on-device`` every test of a kernel.
"""

import numpy as np
import pytest

from clusterlib import selftest
from clusterlib.cluster import KMeans, MiniBatchKMeans, SDPClustering, SphericalKMeans
from clusterlib.installation import describe_config
from clusterlib.kernels._cupy.runtime import active, device_is_usable
from tests.estimators.cases import blobs

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not device_is_usable(), reason="there is no CUDA device here that CuPy can use"
    ),
]


def on_host(*arrays):
    return [active().to_host(array) for array in arrays]


def test_the_device_is_named():
    assert "CuPy" in describe_config()["cuda"]
    assert "(sm_" in describe_config()["cuda"]


def test_the_self_test_passes(capsys):
    status = selftest.main(["--device", "cuda"])
    written = capsys.readouterr().out
    assert (status, "ERROR" in written) == (0, False), written


def assert_both_within_the_bound(X, centers, left, right):
    """Squares of distances are within 4 (d + 4) u (|x| + |y|)^2 of the truth on either side.

    So a row beside its centre may be off by far more than rounding: .00873 for .00854 on an H200.
    """
    unit = np.finfo(X.dtype).eps / 2
    reach = (np.linalg.norm(X, axis=1).max() + np.linalg.norm(centers, axis=1).max()) ** 2
    allowed = 8 * (X.shape[1] + 4) * unit * reach
    np.testing.assert_allclose(np.square(left), np.square(right), rtol=1e-5, atol=allowed)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("cls", [KMeans, SphericalKMeans, MiniBatchKMeans])
def test_a_fit_is_that_of_the_host(cls, dtype):
    X, _ = blobs(20_000, 16, 12, dtype=dtype)
    parameters = {"init": X[:12], "max_iter": 20, "tol": 1e-3}
    expected = cls(12, random_state=0, **parameters).fit(X)
    device = active().to_device(X)
    found = cls(12, random_state=0, **parameters).fit(device)
    labels, centers, distances = on_host(
        found.labels_, found.cluster_centers_, found.transform(device)
    )
    assert np.count_nonzero(labels != expected.labels_) == 0
    np.testing.assert_allclose(centers, expected.cluster_centers_, rtol=1e-5, atol=1e-6)
    assert_both_within_the_bound(X, centers, distances, expected.transform(X))
    assert found.inertia_ == pytest.approx(expected.inertia_, rel=1e-6)
    assert found.score(device) == pytest.approx(expected.score(X), rel=1e-6)


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_a_seed_gives_the_same_bits_again(init):
    X, _ = blobs(50_000, 8, 6, dtype=np.float32)
    device = active().to_device(X)
    weight = np.random.default_rng(0).uniform(size=len(X))
    centers = [
        on_host(
            KMeans(30, init=init, n_init=2, max_iter=5, tol=1.0, random_state=3)
            .fit(device, sample_weight=weight)
            .cluster_centers_
        )[0]
        for _ in range(3)
    ]
    np.testing.assert_array_equal(centers[1], centers[0])
    np.testing.assert_array_equal(centers[2], centers[0])


def test_other_estimators_say_how_to_bring_rows_to_the_host():
    X = active().to_device(np.eye(4))
    with pytest.raises(TypeError, match=r"SDPClustering works on host arrays: pass cupy\.asnumpy"):
        SDPClustering(2).fit(X)


def test_tensors_are_worked_on_where_they_are():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch cannot use the CUDA device")
    X, _ = blobs(2000, 8, 3, dtype=np.float32)
    tensor = torch.from_numpy(X).cuda()
    model = KMeans(3, init=tensor[:3]).fit(tensor)
    expected = KMeans(3, init=X[:3]).fit(X)
    answers = model.labels_, model.cluster_centers_, model.predict(tensor), model.transform(tensor)
    assert all(isinstance(answer, torch.Tensor) and answer.is_cuda for answer in answers)
    assert model.labels_.cpu().numpy().tolist() == expected.labels_.tolist()
    transposed = torch.from_numpy(np.ascontiguousarray(X.T)).cuda().T  # not in C order
    assert model.predict(transposed).cpu().numpy().tolist() == expected.labels_.tolist()
    with pytest.raises(TypeError, match=r"pass X\.cpu\(\)"):
        expected.predict(tensor)
