"""How a command ends. Signals and lost interrupts are tried in processes of their own."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from siamjax.commands.ending import run_command
from siamjax.config import ConfigError
from siamjax.errors import InputError
from siamjax.interrupts import Interrupted


def raising(error):
    def act():
        raise error

    return act


@pytest.mark.parametrize(
    "error, code, message",
    [
        (InputError("`--jobs` (=0) must be at least 1"), 1, "`--jobs` (=0) must be at least 1"),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "x"),
            1,
            "[Errno 2] No such file: 'x'",
        ),
        (ConfigError("a rule"), 2, "a rule"),
        (Interrupted(signal.SIGTERM, "stopped after saving"), 143, "stopped after saving"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError("Unable to allocate 4 TiB"), 1, "out of memory: Unable to allocate 4 TiB"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), 1, "too many open files"),
    ],
)
def test_what_can_be_mended_is_one_line(capsys, error, code, message):
    assert run_command("name", raising(error), exit_codes={ConfigError: 2}) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.strip().startswith(f"name: {message}")
    assert printed.err.strip().count("\n") == 0


def test_what_is_behind_a_failure_is_found(capsys):
    def act():
        try:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        except OSError as error:
            raise RuntimeError("a traceback\nof many\nlines") from error

    assert run_command("name", act) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "too many open files: the limit of this process is" in line and "ulimit -n" in line


@pytest.mark.parametrize("error", [ValueError("shapes"), TypeError(), KeyError("x")])
def test_a_fault_of_ours_comes_out_and_asks_to_be_reported(error):
    with pytest.raises(type(error)) as caught:
        run_command("name", raising(error))
    (note,) = caught.value.__notes__
    assert "please report it" in note


def test_the_exit_code_is_what_the_command_gives(capsys):
    assert run_command("name", lambda: None) == 0
    assert run_command("name", lambda: 3) == 3
    stream = sys.stdout
    run_command("name", lambda: print("latin \udce9"))
    assert sys.stdout is stream
    assert capsys.readouterr().out == "latin \\udce9\n"


def run(program):
    """A program in a process of its own, which heeds SIGINT whatever its parent does."""
    heeds = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    return subprocess.run(
        [sys.executable, "-c", heeds + program],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_an_interrupt_in_a_callback_of_the_collector_is_not_lost():
    ended = run("""
import gc, sys, time
from siamjax.commands.ending import end_process, run_command

def callback(phase, info):
    if phase == "start":
        gc.callbacks.remove(callback)
        signal.raise_signal(signal.SIGINT)
        for _ in range(1000):
            pass  # where the interrupt comes out

def act():
    gc.callbacks.append(callback)
    gc.collect()
    print("lost at first", flush=True)
    time.sleep(100)

end_process(run_command("name", act))
""")
    assert (ended.returncode, ended.stdout) == (130, "lost at first\n"), ended.stderr
    assert ended.stderr == "\nname: interrupted\n"


def test_other_errors_in_finalisers_are_shown_as_ever():
    ended = run("""
from siamjax.commands.ending import run_command

class Ends:
    def __del__(self):
        raise ValueError("in a finaliser")

def act():
    Ends()
    print("goes on")

raise SystemExit(run_command("name", act))
""")
    assert (ended.returncode, ended.stdout) == (0, "goes on\n")
    assert "in a finaliser" in ended.stderr


@pytest.mark.parametrize("lines", [3, 100_000])
def test_a_reader_that_goes_away_is_no_failure(tmp_path, lines):
    program = f"""
from pathlib import Path
from siamjax.commands.ending import end_process, run_command

def act():
    for i in range({lines}):
        print(i)
    Path({str(tmp_path / "done")!r}).touch()

end_process(run_command("name", act))
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=120) == 0
    assert (tmp_path / "done").exists()


LIMITED = """
import resource
from siamjax.commands.ending import run_command
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, {hard}))
act = lambda: print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 64)
raise SystemExit(run_command("name", act))
"""


def test_the_limit_of_open_files_is_raised():
    ended = run(LIMITED.format(hard="hard"))
    assert (ended.returncode, ended.stdout) == (0, "True\n"), ended.stderr


def test_too_low_a_limit_of_open_files_is_refused_before_any_work():
    ended = run(LIMITED.format(hard=64))
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("name: too many open files: the limit of this process is 64")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_standard_streams_may_be_closed(tmp_path, closed):
    """No file of ours gets their numbers, under which libraries print."""
    act = (
        "import os, sys; from siamjax.commands.ending import run_command\n"
        "def act():\n"
        "    with open('own', 'w') as file:\n"
        "        assert file.fileno() > 2\n"
        "        print('out'); print('err', file=sys.stderr); os.write(2, b'library')\n"
        "sys.exit(run_command('name', act))"
    )
    command = f'exec "$0" -c "$1" {closed}'
    done = subprocess.run(["bash", "-c", command, sys.executable, act], cwd=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "own").read_text() == ""


def test_output_that_cannot_be_printed_is_one_line(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("/dev/full is Linux's")
    act = (
        "from siamjax.commands.ending import end_process, run_command\n"
        "def act():\n"
        "    print('out', flush=True)\n"
        "end_process(run_command('name', act))"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", act], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.decode() == "name: cannot print: No space left on device\n"


def test_a_link_that_leads_round_in_a_circle_is_one_line(tmp_path, capsys):
    link = tmp_path / "link"
    link.symlink_to(link)
    assert run_command("name", lambda: link.resolve() and None) in (0, 1)  # 0 from Python 3.13
    err = capsys.readouterr().err
    assert err == "" or (str(link) in err and err.count("\n") == 1)
