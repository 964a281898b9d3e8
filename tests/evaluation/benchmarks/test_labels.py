"""Truth and results as people really bring them: read by one rule, or refused by name."""

import json
import os
import zipfile

import cv2
import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from siamjax.cli import main
from siamjax.errors import InputError
from siamjax.evaluation.benchmarks.entries import read_entries
from siamjax.evaluation.benchmarks.protocols import get_benchmark
from siamjax.evaluation.benchmarks.sequences import load_sequences
from siamjax.evaluation.benchmarks.truths import read_truths
from siamjax.evaluation.results.packing import PackError, pack
from siamjax.evaluation.scoring import score_tracker
from tests import fuzzing
from tests.evaluation.conftest import boxes_along

T = 4
ROWS = boxes_along(T) + 1


def write(file, rows, separator=","):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(separator.join(f"{v:g}" for v in row) + "\n" for row in rows))


def frames(folder, count=T):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        cv2.imwrite(str(folder / f"{number:08d}.jpg"), np.full((60, 80, 3), 90, np.uint8))


# --- archives

SERVERS = [
    ("got10k-test", "test/{}", "test/{}/groundtruth.txt", "{0}/{0}_001.txt"),
    ("trackingnet", "TEST/frames/{}", "TEST/anno/{}.txt", "{}.txt"),
]


@pytest.fixture(params=SERVERS, ids=lambda server: server[0])
def server(request, tmp_path):
    """Packs the bytes of one sequence's result; gives the archive's text back."""
    benchmark, images, truth, result = request.param
    frames(tmp_path / "data" / images.format("a_0"))
    write(tmp_path / "data" / truth.format("a_0"), ROWS[:1])

    def pack_bytes(content, more=()):
        file = tmp_path / "results" / result.format("a_0")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        for name, text in more:
            (file.parent / name).write_text(text)
        conventions = get_benchmark(benchmark)
        truths, _ = read_truths(tmp_path / "data", conventions)
        out = pack(tmp_path / "results", truths, conventions, tmp_path / "out.zip")
        with zipfile.ZipFile(out) as archive:
            return {name: archive.read(name).decode() for name in archive.namelist()}

    pack_bytes.name, pack_bytes.out = result.format("a_0"), tmp_path / "out.zip"
    return pack_bytes


@pytest.mark.parametrize("separator", [" ", "\t", ";", ", ", ","])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_archives_are_in_the_servers_form(server, separator, encoding):
    rows = [["11", "11.25", "20", "1e1"], ["0.00001", "-3", "20", "123456.123456"]] * 2
    content = "\r\n".join(separator.join(row) for row in rows) + "\r\n\r\n"
    (text,) = server(content.encode(encoding)).values()
    assert (
        text == "11.0000,11.2500,20.0000,10.0000\n0.00001,-3.0000,20.0000,123456.123456\n" * 2
    )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("nan\tnan\tnan\tnan", r"line 2: the box \(nan, nan, nan, nan\) is not finite"),
        ("1,2,inf,4", "line 2: .*not finite"),
        ("1,5 2,5 3,5 4,5", "line 2: commas and blanks"),
        ("2,1,2,3,4", "line 2: 5 values"),
        ("", "line 2: no values"),
        ("1,2,3", "line 2: 3 values"),
    ],
)
def test_what_no_server_takes_is_refused(server, row, message):
    content = f"1,2,3,4\n{row}\n1,2,3,4\n1,2,3,4\n".encode()
    with pytest.raises(PackError, match=f"{os.path.basename(server.name)}' {message}"):
        server(content)
    assert not server.out.exists()


def test_times_go_with_got10ks_boxes(tmp_path):
    data, results = tmp_path / "data", tmp_path / "results" / "a"
    frames(data / "a")
    write(data / "a" / "groundtruth.txt", ROWS[:1])
    write(results / "a_001.txt", ROWS)
    write(results / "a_002.txt", ROWS)
    times = results / "a_time.txt"
    benchmark = get_benchmark("got10k-test")
    truths, _ = read_truths(data, benchmark)
    times.write_text("0.5 0.25\nnan 1\n1 1\n1 1\n")
    out = pack(tmp_path / "results", truths, benchmark, tmp_path / "out.zip")
    with zipfile.ZipFile(out) as archive:
        assert sorted(archive.namelist()) == ["a/a_001.txt", "a/a_002.txt", "a/a_time.txt"]
        rows = archive.read("a/a_time.txt").decode().splitlines()
    assert rows[:2] == ["0.5000,0.2500", "0.0000,1.0000"]
    for text, message in (
        ("1\n1\n1\n", "expected 4 times, one per frame, read 3"),
        ("1\n1 2\n1\n1\n", "line 2: expected 1 times"),
        ("1\ninf\n1\n1\n", "line 2: a time must be"),
        ("1\n1\n-1\n1\n", "line 3: a time must be"),
    ):
        times.write_text(text)
        with pytest.raises(PackError, match=message):
            pack(tmp_path / "results", truths, benchmark, tmp_path / "out.zip")
    times.unlink()
    (results / "a_002.txt").rename(results / "a_003.txt")
    with pytest.raises(PackError, match=r"expected repetitions 1 to 2, found \[1, 3\]"):
        pack(tmp_path / "results", truths, benchmark, tmp_path / "out.zip")


def test_no_archive_of_a_set_that_is_not_whole(tmp_path, capsys):
    frames(tmp_path / "data" / "a")
    write(tmp_path / "data" / "a" / "groundtruth.txt", ROWS[:1])
    listed = tmp_path / "data" / "list.txt"
    listed.write_text("a\nb\n")
    write(tmp_path / "results" / "a" / "a_001.txt", ROWS)
    words = ["pack", "--benchmark", "got10k-test", "--data", str(tmp_path / "data")]
    words += ["--results", str(tmp_path / "results"), "--out"]
    assert main([*words, str(tmp_path / "out.zip")]) == 1
    assert (
        "is incomplete: b: skipped: in list.txt, but has no folder" in capsys.readouterr().err
    )
    assert not (tmp_path / "out.zip").exists()
    listed.write_text("a\n")
    assert main([*words, str(listed)]) == 1
    assert "must end in .zip" in capsys.readouterr().err
    assert listed.read_text() == "a\n"
    assert main([*words, str(tmp_path / "out.zip")]) == 0


# --- truth


def entry(**more):
    names = [f"a/{n:08d}.jpg" for n in range(1, T + 1)]
    return {
        "gt_rect": ROWS.tolist(),
        "img_names": names,
        "absent": [1] * T,
        "attr": ["SV"],
    } | more


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "expected an object, not None"),
        ([1], "expected an object"),
        ({"gt_rect": None}, r"`gt_rect` \(=None\) must be a list"),
        ({"gt_rect": [[1, 2, 3, True]] * T}, "True is not a number"),
        ({"gt_rect": [[1, 2, 3, {}]] * T}, "is not a number"),
        ({"gt_rect": [[1, 2, 3, 4], [1, 2]]}, "2 values"),
        ({"gt_rect": [[*range(8)]] * T}, "these seem to be polygons"),
        ({"img_names": None}, "expected 0 rows of ground truth, one per frame, read 4"),
        ({"img_names": 7}, r"`img_names` \(=7\) must be a list"),
        ({"img_names": [7] * T}, "`img_names` names 7"),
        ({"img_names": ["a\0"] * T}, "which must be text"),
        ({"absent": 3}, r"`absent` \(=3\) must be a list"),
        ({"absent": ["x"] * T}, "'x' is not a number"),
        ({"attr": [["SV"]]}, "`attr` names"),
    ],
)
def test_a_bad_entry_is_named_and_the_others_stay(change, message, tmp_path):
    frames(tmp_path / "a")
    file = tmp_path / "OTB100.json"
    bad = entry(**change) if isinstance(change, dict) else change
    file.write_text(json.dumps({"good": entry(), "bad": bad}))
    found, problems = load_sequences(file, get_benchmark("otb"))
    assert [sequence.name for sequence in found] == ["good"]
    (problem,) = problems
    assert problem.sequence == "bad"
    with pytest.raises(AssertionError, match="bad: skipped: .*" + message):
        raise AssertionError(str(problem))


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a": ' * 50_000, '{"a": {}, "a": {}}', "[" + "9" * 400, "[]", "3",
     '{"a": {"gt_rect": [[1e999, 1, 2, 3]]}}', '{"\\ud800": {}}'],
)  # fmt: skip
@pytest.mark.parametrize("benchmark", ["otb", "vot2018", "got10k"])
def test_json_that_is_none_ends_in_one_line(text, benchmark, tmp_path, capsys):
    (tmp_path / "x.json").write_text(text)
    words = ["score", "--benchmark", benchmark, "--annotations", str(tmp_path / "x.json")]
    assert main([*words, "--results", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "x.json" in said and len(said) < 400


@pytest.mark.parametrize("row", ["1 203 121 80 60", "1,203,121,80,60,1", "1 2 3 4 5 6 7"])
def test_score_and_check_refuse_the_same_with_the_same_words(
    row, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        frames(tmp_path / "in" / name / "img")
        truth = tmp_path / "in" / name / "groundtruth_rect.txt"
        truth.write_text(f"{row}\n" * T)
        write(tmp_path / "results" / f"{name}.txt", ROWS)
    words = ["--benchmark", "otb", "--annotations", "in", "--results", "results"]
    assert main(["score", *words]) == 1
    scored = capsys.readouterr().err
    assert main(["check", "in"]) == 2
    checked = capsys.readouterr().out
    assert main(["prepare", "otb", "--input", "in", "--out", "set"]) == 1
    prepared = capsys.readouterr().err
    shown = row.replace(",", " ").replace(" ", ", ")
    message = f"line 1: {len(shown.split(', '))} values ('{shown}'); x, y, w, h are expected"
    for said in (scored, checked, prepared):
        assert f"in/a/groundtruth_rect.txt' {message}" in said
    assert "2 of 2 videos or images: the annotation cannot be read" in checked


def test_one_video_of_many_that_cannot_be_read_makes_a_set_unfit(tmp_path, capsys, monkeypatch):
    """Its targets are many, though its file is one."""
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        frames(tmp_path / "in" / name, 60)
        write(tmp_path / "in" / name / "groundtruth.txt", [[20, 16, 24, 16]] * 60)
    write(tmp_path / "in" / "c" / "groundtruth.txt", [[1, 20, 16, 24, 16]] * 60)
    assert main(["check", "in"]) == 2
    assert "1 of 3 videos or images: the annotation cannot be read" in capsys.readouterr().out


def test_a_tracker_whose_name_is_no_text_fails_for_nobody(tmp_path, capsysbinary):
    write(tmp_path / "truth" / "A.txt", ROWS)
    for name in (b"good", b"caf\xe9"):
        folder = os.path.join(os.fsencode(tmp_path), b"results", name)
        os.makedirs(folder)
        with open(os.path.join(folder, b"A.txt"), "wb") as file:
            file.write("".join(",".join(map(str, row)) + "\n" for row in ROWS).encode())
    words = ["--annotations", str(tmp_path / "truth"), "--results", str(tmp_path / "results")]
    for more in ([], ["--json"], ["--report", str(tmp_path / "report")]):
        assert main(["score", "--benchmark", "otb", *words, *more]) == 0
        out = capsysbinary.readouterr().out.decode()
        assert "good" in out and "caf" in out


def test_damaged_times_are_named(tmp_path, otb):
    write(tmp_path / "A.txt", ROWS)
    (tmp_path / "times").mkdir()
    (tmp_path / "times" / "A_time.txt").write_text("0.1\n0.x\n")
    write(tmp_path / "truth" / "A.txt", ROWS)
    truths, _ = read_truths(tmp_path / "truth", otb)
    found = score_tracker("ours", tmp_path, truths, otb)
    assert found.fps is None and len(found.sequences) == 1
    assert "its times are ignored: " in str(found.problems[0])


# --- anything


def score_anything(truth, results, benchmark):
    """As `siamjax score` does; only our own errors may come of it."""
    try:
        truths, _ = read_truths(truth, benchmark)
    except InputError:
        return
    score_tracker("ours", results, truths, benchmark)


TEXTS = [
    ("otb", "truth/a/groundtruth_rect.txt"),
    ("otb", "results/a.txt"),
    ("otb", "results/times/a_time.txt"),
    ("got10k", "truth/a/groundtruth.txt"),
    ("got10k", "truth/a/absence.label"),
    ("got10k", "truth/a/cover.label"),
    ("got10k", "truth/a/meta_info.ini"),
    ("got10k", "truth/list.txt"),
    ("got10k", "results/a/a_001.txt"),
    ("got10k", "results/a/a_time.txt"),
    ("lasot", "truth/a/out_of_view.txt"),
    ("nfs", "truth/a/30/a.txt"),
    ("tcolor128", "truth/a/a_frames.txt"),
    ("vot2018", "truth/a/groundtruth.txt"),
    ("vot2018", "truth/a/sequence"),
    ("vot2018", "truth/a/occlusion.tag"),
    ("vot2018", "truth/list.txt"),
    ("vot2018", "results/a/a_001.txt"),
    ("vot2018-lt", "results/a/a_001.txt"),
    ("vot2018-lt", "results/a/a_001_confidence.value"),
]


def write_set(root, name):
    """Two good sequences and their results, in the layout of a benchmark."""
    vatic = [f'0 {x} {y} {x + w} {y + h} {n} 0 0 0 "a"' for n, (x, y, w, h) in enumerate(ROWS)]
    for one in "ab":
        folder = root / "truth" / one
        images = {"otb": "img", "lasot": "img", "tcolor128": "img", "nfs": f"30/{one}"}
        frames(folder / images.get(name, ""))
        truth = {
            "otb": "groundtruth_rect.txt",
            "tcolor128": f"{one}_gt.txt",
            "nfs": f"30/{one}.txt",
        }.get(name, "groundtruth.txt")
        write(folder / truth, ROWS)
        if name == "nfs":
            (folder / truth).write_text("\n".join(vatic))
        supervised = [[1], *ROWS[1:]] if name.startswith("vot") else ROWS
        flat = name in ("otb", "lasot", "nfs", "tcolor128")
        file = f"{one}.txt" if flat else f"{one}/{one}_001.txt"
        write(root / "results" / file, supervised)
        if name == "vot2018-lt":
            (root / "results" / one / f"{one}_001_confidence.value").write_text("\n1\n1\n1\n")


@pytest.mark.parametrize(("name", "file"), TEXTS)
@fuzzing.quick
@hypothesis.given(content=fuzzing.contents)
def test_nothing_but_our_own_error_comes_of_a_text(name, file, content, tmp_path):
    root = tmp_path / "in"
    if not root.exists():
        write_set(root, name)
        (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_bytes(content)
    score_anything(root / "truth", root / "results", get_benchmark(name))


@pytest.mark.parametrize("name", ["otb", "got10k", "vot2018"])
@fuzzing.quick
@hypothesis.given(data=st.data())
def test_nothing_but_our_own_error_comes_of_json(name, data, tmp_path):
    content = {"a": entry(occlusion=[0] * T, width=80, height=60), "b": entry()}
    (tmp_path / "x.json").write_text(json.dumps(data.draw(fuzzing.damaged(content))))
    if not (tmp_path / "a").exists():
        frames(tmp_path / "a")
    score_anything(tmp_path / "x.json", tmp_path, get_benchmark(name))
    try:
        load_sequences(tmp_path / "x.json", get_benchmark(name))
        read_entries(tmp_path / "x.json")
    except InputError:
        pass
