"""What the programs in examples/ do apart from drawing: encode posts once, and run as a whole."""

import importlib.util
import re

import numpy as np
import pytest

from clusterlib.datasets import load_embeddings, make_von_mises_fisher
from tests.source_rules import ROOT

EXAMPLES = ROOT / "examples"
NEWSGROUPS = ("20newsgroups-train", "20newsgroups-test")


def run(path):
    """Execute a program as a module, which is returned."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def encode():
    return run(EXAMPLES / "newsgroups_encode.py")


class FakeEncoder:
    """Rows that follow from the letters of a text, and a record of what was asked."""

    def __init__(self, fingerprint="model"):
        self.fingerprint, self.asked = fingerprint, []

    def __call__(self, text):
        self.asked.append(text)
        return np.array([len(text), text.count("a"), 1.0]) / 8


TEXTS = ["a banana", "no fruit", "", "anagram"]
NAMES = ["food", "food", "rec", "rec"]


def write(encode, path, encoder, texts=TEXTS, names=NAMES):
    said = []
    encode.write_embeddings(path, texts, names, encoder, said.append)
    return said


def test_pooled_rows_are_unit_means_over_the_mask(encode):
    states = np.array([[[3.0, 0.0], [0.0, 4.0], [9.0, 9.0]], [[0.0, 2.0], [7.0, 7.0], [7.0, 7.0]]])
    mask = np.array([[1, 1, 0], [1, 0, 0]])
    np.testing.assert_allclose(encode.pooled(states, mask), [[0.6, 0.8], [0.0, 1.0]], rtol=1e-15)


def test_documents_are_pairs_below_three_headers(encode, tmp_path):
    table = tmp_path / "posts.tab"
    table.write_text("h\th\nh\th\nh\th\nfood\ta banana\n\tno class\nlonely\nrec\tgame\n")
    assert encode.read_documents(table) == (["a banana", "game"], ["food", "rec"])


def test_the_file_is_what_the_library_loads(encode, tmp_path, monkeypatch):
    encoder = FakeEncoder()
    write(encode, tmp_path / "posts.npz", encoder)
    monkeypatch.setenv("CLUSTERLIB_DATA", str(tmp_path))
    loaded = load_embeddings("posts", dtype=None)
    assert loaded.data.dtype == np.float16
    np.testing.assert_array_equal(loaded.data, [encoder(text) for text in TEXTS])
    assert loaded.target_names[loaded.target].tolist() == NAMES
    assert [path.name for path in tmp_path.iterdir()] == ["posts.npz"]


def test_posts_are_encoded_once(encode, tmp_path):
    path = tmp_path / "posts.npz"
    write(encode, path, FakeEncoder())
    again = FakeEncoder()
    assert write(encode, path, again) == ["posts.npz is there already"]
    assert again.asked == []


@pytest.mark.parametrize("change", ["model", "text"])
def test_another_model_or_text_is_encoded_again(encode, tmp_path, change):
    path = tmp_path / "posts.npz"
    write(encode, path, FakeEncoder())
    texts = ["anew", *TEXTS[1:]] if change == "text" else TEXTS
    encoder = FakeEncoder("other" if change == "model" else "model")
    write(encode, path, encoder, texts)
    assert set(texts) <= set(encoder.asked)
    with np.load(path) as file:
        assert str(file["model_hash"]) == encoder.fingerprint
        np.testing.assert_array_equal(file["X"][0], FakeEncoder()(texts[0]))


def test_a_stopped_program_goes_on_where_it_was(encode, tmp_path):
    class Stopped(FakeEncoder):
        def __call__(self, text):
            if len(self.asked) == 3:  # the first text was asked for its number of features
                raise KeyboardInterrupt
            return super().__call__(text)

    path = tmp_path / "posts.npz"
    with pytest.raises(KeyboardInterrupt):
        write(encode, path, Stopped())
    assert not path.exists()
    encoder = FakeEncoder()
    said = write(encode, path, encoder)
    assert encoder.asked == TEXTS[2:]
    assert said[0] == "2 of 4 posts are encoded"


def test_check_compares_rows_with_the_file(encode, tmp_path):
    path = tmp_path / "posts.npz"
    write(encode, path, FakeEncoder())
    cosines = encode.check(path, TEXTS, lambda text: FakeEncoder()(text) * 0 + [0, 0, 1.0], 4, list)
    stored = np.array([FakeEncoder()(text) for text in TEXTS])
    expected = stored[:, 2] / np.linalg.norm(stored, axis=1)
    np.testing.assert_allclose(np.sort(cosines), np.sort(expected), rtol=1e-12)
    with pytest.raises(SystemExit, match="4 rows for 3 posts"):
        encode.check(path, TEXTS[:3], FakeEncoder(), 2, list)


def test_embeddings_stay_out_of_the_repository(encode, tmp_path):
    assert encode.target_folder(str(tmp_path)) == tmp_path.resolve()
    with pytest.raises(SystemExit, match="is in the repository"):
        encode.target_folder(str(ROOT / "examples" / "data"))
    with pytest.raises(SystemExit, match="CLUSTERLIB_DATA"):
        encode.target_folder(None)


def test_the_front_page_names_every_example():
    page = (EXAMPLES / "README.rst").read_text(encoding="utf-8")
    named = re.findall(r"sphx_glr_auto_examples_(\w+\.py)", page)
    assert sorted(named) == sorted(path.name for path in EXAMPLES.glob("*.py"))


def test_missing_packages_are_named(encode):
    with pytest.raises(SystemExit, match="absent_package is not installed"):
        encode.package_file("absent_package", "model.onnx")


def test_pipelines_end_with_a_sentence_without_embeddings(monkeypatch, tmp_path):
    pytest.importorskip("imblearn")
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("CLUSTERLIB_DATA", str(tmp_path))
    with pytest.raises(SystemExit, match="nothing to show: there are no embeddings"):
        run(EXAMPLES / "newsgroups_pipelines.py")


def stand_in(folder):
    """Twenty clusters on a sphere, cut in two, instead of the embeddings of twenty newsgroups."""
    X, y = make_von_mises_fisher(
        4000, 56, n_components=20, concentration=56 * 0.6, dtype=np.float32, random_state=0
    )
    for name, part in zip(NEWSGROUPS, (slice(2400), slice(2400, None)), strict=True):
        np.savez(folder / f"{name}.npz", X=X[part], y=y[part], classes=[f"c{k}" for k in range(20)])


@pytest.mark.filterwarnings("ignore::UserWarning")  # there are few rows
def test_every_estimator_runs_in_its_pipeline(monkeypatch, tmp_path, capsys):
    pytest.importorskip("imblearn")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    stand_in(tmp_path)
    text = (EXAMPLES / "newsgroups_pipelines.py").read_text(encoding="utf-8")
    assert text.count("SEEDS = range(10)") == 1
    quick = tmp_path / "quick.py"
    quick.write_text(text.replace("SEEDS = range(10)", "SEEDS = range(1)"), encoding="utf-8")
    monkeypatch.setenv("CLUSTERLIB_DATA", str(tmp_path))
    try:
        example = run(quick)
        assert len(pyplot.get_fignums()) == 2
    finally:
        pyplot.close("all")
    printed = capsys.readouterr().out
    scores = {line[3]: line[4] for line in example.table}
    estimators = [name for name in printed.split() if hasattr(example, name)]
    assert len(scores) == 18 and set(scores) <= set(estimators)
    assert all(0 <= score <= 1 for score in scores.values())
    assert scores["LatentLabelShift"] > 0.9
