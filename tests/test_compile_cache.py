import os
import platform
import subprocess
import sys
import zlib

import pytest

from siamjax import compile_cache
from tests.conftest import ROOT

# What a process finds kept, compiles, and says. In processes of their own, since JAX opens its
# cache once.
PROGRAM = """
import jax, numpy as np
counts = {"cache_hits": 0, "cache_misses": 0}
def count(event, **_):
    name = event.rpartition("/")[2]
    if name in counts:
        counts[name] += 1
jax.monitoring.register_event_listener(count)
from siamjax import compile_cache
PREPARATION
compile_cache.enable()
compile_cache.enable()
f = jax.jit(lambda x: (x @ x).sum())
assert f(np.ones((4, 4), np.float32)) == 64
print(counts["cache_hits"], counts["cache_misses"], jax.config.jax_compilation_cache_dir)
"""


def run(tmp_path, preparation="", **variables):
    """(hits, misses, folder) and what was printed to stderr."""
    tests_own = ("SIAMJAX_CACHE", "JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(tests_own)}
    environment = kept | {"HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT), **variables}
    environment = {k: v for k, v in environment.items() if v is not None}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("PREPARATION", preparation)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    hits, misses, folder = done.stdout.split()
    return (int(hits), int(misses), folder), done.stderr


def entries(folder):
    return sorted(folder.glob("compiled/*/*-cache"))


def test_a_second_process_finds_what_the_first_compiled(tmp_path):
    cache = tmp_path / "cache"
    first, printed = run(tmp_path, SIAMJAX_CACHE=str(cache))
    assert first[0] == 0 and first[1] >= 1 and printed == ""
    assert len(entries(cache)) == first[1]
    second, printed = run(tmp_path, SIAMJAX_CACHE=str(cache))
    assert second == (first[1], 0, first[2]) and printed == ""
    # An entry that was cut short is compiled and kept anew.
    for path in entries(cache):
        path.write_bytes(path.read_bytes()[:-20])
    third, printed = run(tmp_path, SIAMJAX_CACHE=str(cache))
    assert third == first and printed == ""
    for path in entries(cache):
        zlib.decompress(path.read_bytes())
    # What another processor compiled is in another folder, and stays there.
    other = "compile_cache._kind = lambda: 'jaxlib-0-other'"
    found, printed = run(tmp_path, other, SIAMJAX_CACHE=str(cache))
    assert found[:2] == first[:2] and found[2].endswith("jaxlib-0-other") and printed == ""


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"XDG_CACHE_HOME": None}, "home/.cache/siamjax"),
        ({"XDG_CACHE_HOME": "{tmp}/xdg"}, "xdg/siamjax"),
        ({"SIAMJAX_CACHE": "~/mine"}, "home/mine"),
    ],
)
def test_it_lies_in_the_users_cache_folder(tmp_path, monkeypatch, variables, expected):
    chosen = compile_cache.chosen_folder
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CACHE_HOME", "SIAMJAX_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        if value is not None:
            monkeypatch.setenv(name, value.format(tmp=tmp_path))
    assert chosen(os.environ.get("SIAMJAX_CACHE", "")) == tmp_path / expected


def test_it_can_be_turned_off_and_an_applications_own_stays(tmp_path):
    off, printed = run(tmp_path, SIAMJAX_CACHE="off")
    assert off == (0, 0, "None") and printed == ""
    own = "jax.config.update('jax_compilation_cache_dir', '/nowhere/of/its/own')"
    own += "; jax.config.update('jax_enable_compilation_cache', False)"
    theirs, _ = run(tmp_path, own, SIAMJAX_CACHE=str(tmp_path / "cache"))
    assert theirs[2] == "/nowhere/of/its/own"
    assert not (tmp_path / "home").exists() and not (tmp_path / "cache").exists()


def test_a_folder_that_cannot_be_written_says_so_once(tmp_path):
    (tmp_path / "file").write_text("")
    found, printed = run(tmp_path, SIAMJAX_CACHE=str(tmp_path / "file"))
    assert found == (0, 0, "None")
    assert len(printed.splitlines()) == 1
    for words in ("cannot be kept", str(tmp_path / "file"), "set SIAMJAX_CACHE"):
        assert words in printed


def test_what_a_read_only_folder_holds_is_used(tmp_path):
    cache = tmp_path / "cache"
    first, _ = run(tmp_path, SIAMJAX_CACHE=str(cache))
    before = {path: path.stat().st_mtime_ns for path in entries(cache)}
    refuse = (
        "def refuse(**_): raise PermissionError(13, 'Permission denied')\n"
        "compile_cache.tempfile.TemporaryFile = refuse"
    )
    second, printed = run(tmp_path, refuse, SIAMJAX_CACHE=str(cache))
    assert second == (first[1], 0, first[2])
    assert len(printed.splitlines()) == 1 and "Permission denied" in printed
    assert {path: path.stat().st_mtime_ns for path in entries(cache)} == before


def test_where_xla_does_not_take_its_programs_back_nothing_is_kept(tmp_path):
    cache = tmp_path / "cache"
    reject = (
        "import os\n"
        "def reject(*_, **__): os.write(2, b'E0000 cpu_aot_loader.cc:195] Loading ...')\n"
        "compile_cache.deserialize_and_load = reject"
    )
    for _ in range(2):  # it is tried once, and known from then on
        found, printed = run(tmp_path, reject, SIAMJAX_CACHE=str(cache))
        assert found == (0, 0, "None") and printed == ""
        reject = ""
    assert not entries(cache)


def test_the_kind_names_jaxlib_and_the_machine():
    import jaxlib.version

    kind = compile_cache._kind()
    assert kind == compile_cache._kind() and os.sep not in kind
    assert jaxlib.version.__version__ in kind and platform.machine() in kind


def test_the_oldest_entries_go_beyond_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(compile_cache, "_LARGEST", 1000)
    for age, kind in enumerate(["a", "b", "a", "b", "a"]):
        path = tmp_path / kind / f"{age}-cache"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(190))
        os.utime(path, (10_000 - age, 10_000 - age))
    compile_cache._tidy(tmp_path)
    assert len(list(tmp_path.glob("*/*-cache"))) == 5
    (tmp_path / "b" / "5-cache").write_bytes(bytes(190))
    compile_cache._tidy(tmp_path)
    left = sorted(path.name for path in tmp_path.glob("*/*-cache"))
    assert left == ["0-cache", "5-cache"]
