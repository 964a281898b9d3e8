"""Every command in the README, the docs and the configurations' docstrings exists."""

import functools
import re
import shlex
import subprocess
import sys

import pytest

from siamjax.config_files import load_config
from tests.conftest import ROOT

CONFIGS = sorted((ROOT / "configs").glob("*.py"))
STUDIES = sorted((ROOT / "configs" / "ablations").glob("*.py"))
DOCS = sorted((ROOT / "docs").glob("*.md"))
SOURCES = [ROOT / "README.md", *DOCS, *CONFIGS, *STUDIES]
PROGRAMS = (
    "python train.py",
    "python eval.py",
    "siamjax ",
    "make ",
    "python -m siamjax",
    "python benchmarks/",
)


def commands_in(path):
    """Command lines of a file: those that start with one of our programs, joined at `\\`."""
    text = re.sub(r"\\\n\s*", "", path.read_text())
    for line in text.splitlines():
        line = line.strip().removeprefix("$ ")
        if line.startswith(PROGRAMS) and "`" not in line:
            yield line


COMMANDS = sorted({command for path in SOURCES for command in commands_in(path)})


@functools.cache
def help_of(*program):
    result = subprocess.run(
        [sys.executable, *program, "--help"], capture_output=True, text=True, cwd=ROOT
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_there_are_commands_to_check():
    assert any(c.startswith("make demo") for c in COMMANDS)
    assert any(c.startswith("python train.py") for c in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_exists(command):
    words = shlex.split(command, comments=True)
    flags = [word.split("=")[0] for word in words if word.startswith("--")]
    if words[0] == "make":
        target = next((w for w in words[1:] if "=" not in w), None)
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), target
        variables = [w.split("=")[0] for w in words[1:] if "=" in w]
        assert all(f"{v} ?=" in (ROOT / "Makefile").read_text() for v in variables), variables
        return
    program = ("-m", "siamjax.cli", words[1]) if words[0] == "siamjax" else (words[1],)
    if words[1] in ("train", "train.py") and "--config" in words:
        config = words[words.index("--config") + 1]
        known = "X" not in config and "NAME" not in config
        shown = help_of(*program, "--config", config if known else "quickstart")
    elif words[0] == "siamjax" or words[1].startswith("benchmarks/"):
        shown = help_of(*program)
    else:
        shown = help_of(*words[1:2])
    missing = [flag for flag in flags if flag not in shown]
    assert not missing, f"{command!r} uses {missing}, which its --help does not list"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_the_configuration_loads_and_says_how_to_run_it(path):
    config = load_config(path)
    assert config.name == path.stem
    text = path.read_text()
    assert text.startswith('"""') and f"configs/{path.name}" in text.split('"""')[1]
