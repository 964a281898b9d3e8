"""The published state dicts, with stand-in numbers, and the configurations that have them."""

import ast
import functools
import importlib.util

import numpy as np

from siamjax.config_files import load_config
from tests.conftest import ROOT

GOLDENS = ROOT / "tests" / "goldens"

# Golden key list -> the configuration that has it, entries, parameters (section 1.7).
MODELS = {
    "siamrpn_r50_l234_dwxcorr": ("siamrpnpp_r50", 458, 53_950_624),
    "siamrpn_r50_l234_dwxcorr_otb": ("siamrpnpp_r50_otb", 456, 53_950_618),
    "siamrpn_r50_l234_dwxcorr_lt": ("siamrpnpp_r50_lt", 458, 60_018_336),
    "siammask_r50_l3": ("siammask_r50", 356, 21_482_052),
    "siamrpn_mobilev2_l234_dwxcorr": ("siamrpnpp_mobilenetv2", 450, 11_150_446),
    "siamrpn_alex_dwxcorr": ("siamrpnpp_alexnet", 75, 6_251_102),
    "siamrpn_alex_dwxcorr_16gpu": ("siamrpnpp_alexnet", 75, 6_251_102),
    "siamrpn_alex_upchannel": ("siamrpn_alexnet", 45, 22_632_932),
    "dasiamrpn_SiamRPNvot_otb": ("dasiamrpn", 45, 22_632_932),
    "dasiamrpn_SiamRPNBIG": ("siamrpn_vot2018", 45, 90_436_132),
    "siamfc_alexnetv1": ("siamfc", 30, 2_336_320),
}
CONFIGS = {
    name: load_config(ROOT / "configs" / f"{name}.py")
    for name in sorted({config for config, _, _ in MODELS.values()})
}
PYSOT_MODELS = [name for name in MODELS if name.startswith(("siamrpn_", "siammask_"))]


@functools.cache
def _make_array():
    spec = importlib.util.spec_from_file_location("standin", GOLDENS / "standin_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_array


def key_shapes(name):
    """Key -> shape of a published model."""
    rows = (GOLDENS / "keys" / f"{name}.txt").read_text().splitlines()
    pairs = (row.split("\t") for row in rows if row)
    return {key: tuple(ast.literal_eval(shape)) for key, shape in pairs}


def standin(shapes):
    """The stand-in state dict of these keys and shapes."""
    return {key: _make_array()(key, shape) for key, shape in shapes.items()}


@functools.lru_cache(maxsize=2)
def _published(name):
    return standin(key_shapes(name))


def published(name):
    """The stand-in state dict of a published model; the dict is a copy."""
    return dict(_published(name))


def blank(name):
    """A published model's keys and shapes with ones for numbers, which take no memory."""
    shapes = key_shapes(name)
    return {key: np.broadcast_to(np.float32(1), shape) for key, shape in shapes.items()}
