"""Names from anywhere as names of files, and files that are whole or not there."""

import errno
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siamjax.files import (
    file_name,
    keep_name,
    original_name,
    printable,
    replacing_folder,
    require_writable,
    write_whole,
)

# What each is called on disk, spelled out by hand.
SPELLED = {
    "../../../x": "%2E.%2F..%2F..%2Fx",
    "/some/where/x": "%2Fsome%2Fwhere%2Fx",
    "a/b": "a%2Fb",
    "C:\\x": "C%3A%5Cx",
    ".": "%2E",
    "..": "%2E%2E",
    ".hidden": "%2Ehidden",
    "ends.": "ends%2E",
    "ends ": "ends%20",
    " begins": "%20begins",
    "": "%~",
    "times": "%74imes",
    "Baseline": "%42aseline",
    "CON": "%43ON",
    "nul.txt": "%6Eul.txt",
    "a\x00b": "a%00b",
    "line\nbreak": "line%0Abreak",
    "\x1b[2J": "%1B[2J",
    "to\u202eleft": "to%E2%80%AEleft",
    "latin \udce9": "latin %ED%B3%A9",
    "%2F": "%252F",
    "%~": "%25~",
}
ORDINARY = (
    "Human4-2 car_1 Jogging.1 CarDark GOT-10k_Val_000001 Girl (2) 100% ökonomie 猫 "
    "train-0-0001 times2 com10 console a+b,c=d;e @#&!"
).split(" ")


@pytest.mark.parametrize("name", SPELLED, ids=ascii)
def test_special_names_are_spelled_out(name):
    assert file_name(name) == SPELLED[name]
    assert original_name(SPELLED[name]) == name


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_names_stay_as_they_are(name):
    assert file_name(name) == name
    assert original_name(name) == name


NAMES = st.one_of(
    st.text(st.characters(), max_size=400),  # with halves of surrogate pairs
    st.text("%~2Fa./\\ \x00é", max_size=12),
    st.sampled_from([*SPELLED, *ORDINARY]),
)


@settings(max_examples=40, deadline=None)
@given(NAMES)
def test_any_name_is_one_component_and_comes_back(tmp_path_factory, name):
    safe = file_name(name)
    assert safe not in ("", ".", "..") and not set(safe) & set('/\\\x00\n:*?"<>|')
    assert len(os.fsencode(safe)) <= 180
    folder = tmp_path_factory.getbasetemp() / "names"
    keep_name(folder, name)
    assert original_name(safe, folder) == name


@settings(max_examples=40, deadline=None)
@given(NAMES, NAMES)
def test_different_names_have_different_files(one, other):
    assert (file_name(one) == file_name(other)) == (one == other)


@pytest.mark.parametrize("name", ["x" * 300, "/" * 200, "é" * 150, "💥" * 90])
def test_long_names_are_cut_but_not_confused(tmp_path, name):
    paths = [tmp_path / file_name(each) for each in (name, name + "!")]
    assert paths[0] != paths[1]
    for path, each in zip(paths, (name, name + "!"), strict=True):
        keep_name(tmp_path, each)
        write_whole(path.with_name(f"{path.name}_001_confidence.value"), "fits")
        assert original_name(path.name, tmp_path) == each
        assert original_name(path.name) == path.name  # nothing says what was cut


def test_printable():
    assert printable("Human4-2 猫") == "Human4-2 猫"
    assert printable("a\nb\x1b[2J\udce9\u202e") == "a\\nb\\x1b[2J\\udce9\\u202e"


def test_a_file_is_written_whole_and_its_folder_made(tmp_path):
    file = tmp_path / "new" / "folder" / "file.txt"
    write_whole(file, "one")
    write_whole(file, "two é\udce9\n")
    assert file.read_bytes() == b"two \xc3\xa9\\udce9\n"
    assert os.listdir(file.parent) == ["file.txt"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, failing):
    file = tmp_path / "file.txt"
    write_whole(file, "old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(OSError, match=r"file.txt': No space left.*free some space"):
        write_whole(file, b"new")
    assert file.read_text() == "old" and os.listdir(tmp_path) == ["file.txt"]


def test_an_interruption_leaves_what_was_there(tmp_path, monkeypatch):
    file = tmp_path / "file.txt"
    write_whole(file, "old")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(file, "new")
    assert file.read_text() == "old" and os.listdir(tmp_path) == ["file.txt"]


def test_a_folder_that_cannot_be_made_is_an_error_that_names_the_file(tmp_path):
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(OSError, match=r"cannot write .*taken/file.txt"):
        write_whole(tmp_path / "taken" / "file.txt", "new")


@pytest.mark.parametrize("place", ["file/x.txt", "folder", "x" * 252 + ".txt"])
def test_a_place_where_nothing_can_be_written_is_found_before_the_work(tmp_path, place):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="cannot write") as caught:
        require_writable(tmp_path / place)
    assert place in str(caught.value)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]


def test_trying_to_write_leaves_what_is_there(tmp_path):
    (tmp_path / "old").write_text("old")
    require_writable(tmp_path / "old")
    require_writable(tmp_path / "new" / "file")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["new", "old"]
    assert (tmp_path / "old").read_text() == "old"


def test_a_folder_is_whole_or_not_there(tmp_path):
    def fill(content):
        with replacing_folder(tmp_path / "out") as folder:
            (folder / "file").write_text(content)

    fill("one")
    with pytest.raises(OSError, match=r"cannot write .*out.: Directory not empty"):
        fill("another, which came later")
    with pytest.raises(ZeroDivisionError), replacing_folder(tmp_path / "other"):
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "file").read_text() == "one"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755
