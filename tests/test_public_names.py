"""The names that `import siamjax` promises."""

import pytest

import siamjax


@pytest.mark.parametrize("name", siamjax.__all__)
def test_public_names_are_there(name):
    assert getattr(siamjax, name) is not None


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="no attribute 'load_configs'"):
        _ = siamjax.load_configs
