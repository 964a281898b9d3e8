"""The precision of float32 on accelerators, and the benchmark that weighs it."""

import dataclasses
import importlib
import importlib.util
import json
import re
import sys
import time

import jax
import jax.numpy as jnp
import pytest

from siamjax.config import SyntheticConfig
from siamjax.models.operations import conv2d
from siamjax.models.xcorr import xcorr_depthwise, xcorr_up_channel
from tests.conftest import ROOT

SHAPES = {
    conv2d: ((1, 9, 9, 64), (3, 3, 64, 64)),
    xcorr_depthwise: ((2, 9, 9, 8), (2, 5, 5, 8)),
    xcorr_up_channel: ((2, 9, 9, 8), (2, 5, 5, 8, 4)),
}


def precisions(function, platform, setting):
    """Of every convolution in the function and its gradient, as exported for the platform."""
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in SHAPES[function]]
    both = jax.value_and_grad(lambda *x: jnp.square(function(*x)).sum(), (0, 1))
    with jax.default_matmul_precision(setting):
        exported = jax.export.export(jax.jit(both), platforms=[platform])(*shapes)
    lines = [x for x in exported.mlir_module().splitlines() if "stablehlo.convolution" in x]
    assert len(lines) == 3
    return {tuple(re.findall(r"precision (\w+)>", line)) for line in lines}


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("function", SHAPES)
def test_float32_is_float32_on_accelerators_unless_jax_is_told_otherwise(function, platform):
    """JAX's own default there is TF32 on a GPU and bfloat16 on a TPU."""
    assert precisions(function, platform, None) == {("HIGHEST", "HIGHEST")}
    assert precisions(function, platform, "tensorfloat32") == {("HIGH", "HIGH")}
    assert precisions(function, platform, "bfloat16") <= {(), ("DEFAULT", "DEFAULT")}


TINY = """
from siamjax.config import *

def get_config():
    model = ModelConfig(
        backbone=BackboneConfig(name="alexnet", width=0.0625),
        levels=("layer5",),
        channels=(8,),
        neck=False,
        template_crop=None,
        template_size=103,
        search_size=119,
        base_size=0,
    )
    return Config(
        name="tiny",
        model=model,
        tracker=TrackerConfig(search_size=119),
        data=DataConfig(crop_size=151, sources=(SourceConfig(path="replaced"),)),
    )
"""


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """The benchmark's module, whose quick sizes are smaller still."""
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # and taken back later
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    module = importlib.import_module("gpu")
    config = tmp_path / "tiny.py"
    config.write_text(TINY)
    named = dict.fromkeys(("many", "trained"), str(config))
    small = SyntheticConfig(sequences=2, frames=4, width=128, height=96)
    monkeypatch.setattr(sys.modules["training"], "RENDERED", small)
    sizes = dataclasses.replace(module.QUICK, trackers=(str(config),), remat=(True,), **named)
    monkeypatch.setattr(module, "QUICK", sizes)
    return module


def run(gpu, folder, *options):
    """The exit code and the rows of the JSON file."""
    code = gpu.main(["--quick", "--precisions", "float32", "--out", str(folder), *options])
    return code, json.loads((folder / "gpu.json").read_text())["rows"]


@pytest.mark.slow
def test_every_section_at_tiny_sizes(gpu, tmp_path, capsys):
    code, rows = run(gpu, tmp_path, "--beside", "PyTorch")
    assert code == 0
    assert {row["section"] for row in rows} == set(gpu.SECTIONS)
    measured = [row for row in rows if row["section"] != "parity"]
    assert all(row["ours"] > 0 for row in measured)
    assert all(row["calls"] >= 10 for row in measured if row["unit"] != "MB")
    (crops, _) = (row for row in rows if row["section"] == "parity")
    assert crops["note"] == "1 passed"
    table = (tmp_path / "gpu.md").read_text()
    assert table.count("\n| ") == len(rows) + 2
    assert capsys.readouterr().out == table
    if importlib.util.find_spec("torch") is None:
        assert all(row["eager"] is None for row in rows)
        return
    beside = {row["case"].partition(", ")[2] for row in measured if row["eager"]}
    assert {
        "network, batch 1",
        "whole step",
        "2 pairs, remat",
        "forward, batch 1, conv",
    } <= beside
    (apart,) = re.findall(r"boxes (\S+) px apart", table)
    assert float(apart) < 0.5


def test_a_failure_or_an_interrupt_keeps_the_rest(gpu, monkeypatch, tmp_path):
    def out_of_memory(*_, **__):
        raise RuntimeError("RESOURCE_EXHAUSTED: out of\nmemory")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu, "xcorr_depthwise", out_of_memory)
    monkeypatch.setattr(gpu, "make_batches", interrupted)
    code, rows = run(gpu, tmp_path, "--only", "correlation", "data", "--beside")
    assert code == 130
    why = "RuntimeError: RESOURCE_EXHAUSTED: out of memory"
    assert [(row["section"], row["note"]) for row in rows] == [("correlation", why)] * 2


def test_calls_take_turns_and_one_that_fails_is_left_out(gpu):
    order = []

    def fails():
        order.append("b")
        if order.count("b") == 3:
            raise MemoryError("none left")

    calls = {"a": lambda: order.append("a"), "b": fails, "c": lambda: order.append("c")}
    turns = gpu.time_by_turns(calls, least=4)
    assert "".join(order) == "abc" * 3 + "ac" * 2
    assert turns.failed == {"b": "MemoryError: none left"}
    assert set(turns.medians) == {"a", "c"} and turns.rounds == 4


def test_no_median_is_of_fewer_turns_than_asked_for(gpu):
    turns = gpu.time_by_turns({"a": lambda: time.sleep(0.02)}, least=10, most=0.03)
    assert turns.medians == {}
    assert turns.failed["a"].startswith(f"{turns.rounds} of 10 turns in 0.0")
