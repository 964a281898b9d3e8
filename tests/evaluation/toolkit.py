"""The real vot-toolkit, where it is installed, as an oracle."""

import importlib
import typing
import warnings


def import_vot_toolkit(monkeypatch, module):
    """A module of vot-toolkit.

    Its dependency attributee (0.1.10) takes Python 3.11's `typing.dataclass_transform` for
    something else and breaks; without it, it works.
    """
    monkeypatch.delattr(typing, "dataclass_transform", raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(module)
