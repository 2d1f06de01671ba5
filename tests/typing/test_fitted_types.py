"""Fitted attributes have the types that their classes are annotated with."""

import inspect

import numpy as np
import pytest

from tests.robustness.children import NAMES, fitted

ARRAYS = {
    "Array": None,
    "FloatArray": (np.float32, np.float64),
    "Float64Array": (np.float64,),
    "Int32Array": (np.int32,),
    "Int64Array": (np.int64,),
    "IndexArray": (np.intp,),
    "BoolArray": (np.bool_,),
}
SCALARS = {"bool": bool, "float": float, "int": int, "str": str}


def annotated(model):
    """Name -> annotation of each fitted attribute."""
    found = {}
    for cls in reversed(type(model).__mro__):
        if cls.__module__.startswith("clusterlib."):
            found |= inspect.get_annotations(cls)
    return {name: text for name, text in found.items() if hasattr(model, name)}


def is_one_of(value, annotation):
    """Whether a value is of a type that is named; what is named otherwise is not judged."""
    for name in annotation.split(" | "):
        if name in ARRAYS:
            found = isinstance(value, np.ndarray)
            found = found and (ARRAYS[name] is None or value.dtype in ARRAYS[name])
        elif name in SCALARS:
            found = type(value) is SCALARS[name]
        else:
            found = value is None if name == "None" else True
        if found:
            return True
    return False


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("setting", range(len(NAMES)), ids=NAMES)
def test_attributes_are_what_annotations_say(setting):
    model = fitted(setting)
    expected = annotated(model)
    assert expected
    wrong = {n: t for n, t in expected.items() if not is_one_of(getattr(model, n), t)}
    assert not wrong
