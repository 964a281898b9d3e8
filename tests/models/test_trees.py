"""The difference of two trees, described."""

import numpy as np

from siamjax.models.trees import describe, difference


def tree(**leaves):
    return describe(
        {"params": {name: np.zeros(shape, dtype) for name, (shape, dtype) in leaves.items()}}
    )


def test_equal_trees_have_no_difference():
    assert difference(tree(a=((2,), "f4")), tree(a=((2,), "f4"))) == ""


def test_each_kind_of_difference_is_described_and_long_lists_are_shortened():
    many = {f"k{i}": ((), "f4") for i in range(5)}
    ours = tree(a=((2, 3), "f4"), b=((), "f4"), **many)
    theirs = tree(a=((3, 2), "f4"), b=((), "f2"), new=((), "f4"))
    assert difference(ours, theirs) == (
        "it has params/k0, params/k1, params/k2 and 2 more, which the model lacks; "
        "it lacks params/new, which the model has; "
        "there params/a is float32[2, 3] but the model wants float32[3, 2], "
        "params/b is float32[] but the model wants float16[]"
    )
