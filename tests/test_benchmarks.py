"""The benchmarks run, compare pictures before speed, and say what they left out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from benchmarks import (
    corpora,
    folder_check,
    keras_memory,
    limits,
    many_checks,
    many_cores,
    many_files,
    one_upload,
    ours,
    python_share,
    report,
    saved_images,
    stages,
    windows,
)
from benchmarks.__main__ import main
from benchmarks.contender import Batches, NotInstalledError, Task, contender, decibels
from benchmarks.new_process import in_new_process
from benchmarks.python_share import Share
from benchmarks.rounds import ROOT, Result, measure
from benchmarks.tables import TABLES, Row, Table
from tests.conftest import encode_turned

pytestmark = [
    pytest.mark.slow,  # each test starts processes that measure
    pytest.mark.one_version,
]


@contender("sknorm_images")
def upside_down(task: Task) -> Batches:
    """Turn the pictures, which is as fast, and wrong."""
    right = ours.transform(task)

    def batches() -> Iterator[np.ndarray]:
        for batch in right():
            yield batch[:, ::-1]

    return batches


@contender("no_such_library")
def of_a_library_that_is_missing(task: Task) -> Batches:
    """Never run."""
    raise AssertionError(task)


@contender()
def without_a_shared_library(task: Task) -> Batches:
    """Find out too late that something is missing."""
    raise NotInstalledError("libnosuch")


@contender()
def broken(task: Task) -> Batches:
    """Fail."""
    raise RuntimeError(f"cannot read {len(task.files)} files")


@contender()
def broken_later(task: Task) -> Batches:
    """Run one pass, and fail in the next."""
    passes = [()]

    def batches() -> tuple[()]:
        if not passes:
            raise RuntimeError("it worked before")
        return passes.pop()

    return batches


def run(output: Path, options: dict[str, list[object]]) -> str:
    """Run the command, and return what it printed."""
    words = [str(word) for name, values in options.items() for word in (name, *values)]
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks",
            "--no-footprint",
            "--output",
            str(output),
            *words,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_the_command_writes_a_table_of_what_it_measured(tmp_path):
    options = {"--tables": ["scale", "fit-array"], "--files": [4], "--rounds": [2]}

    run(tmp_path, options)

    page = (tmp_path / "performance.md").read_text()
    assert "numpy" in page.splitlines()[0]
    found = json.loads((tmp_path / "performance.json").read_text())
    assert list(found) == ["scale", "fit-array"]
    for row in found["scale"]:
        assert f"| {row['name']} | " in page
        assert len(row["rates"]) == 2
    assert all(row["decibels"] > 99 for row in found["scale"])


def test_the_users_own_photos_may_be_measured(files, tmp_path):
    folder = Path(files[0]).parent

    printed = run(tmp_path, {"--tables": ["jobs-fit"], "--rounds": [1], "--corpus": [folder]})

    assert "24 files to 224 x 224" in printed
    assert not (tmp_path / "corpora").exists()
    assert sorted(map(str, folder.iterdir())) == files


def test_what_cannot_be_compared_is_named_with_the_reason(files):
    rows = [
        Row("ours", ours.transform),
        Row("turned", upside_down),
        Row("missing", of_a_library_that_is_missing),
        Row("no library", without_a_shared_library),
        Row("broken", broken),
        Row("broken later", broken_later),
    ]
    table = Table("key", "title", corpora.photos, 24, 32, rows, at_least_decibels=35)

    results = measure(table, Task(files, 32, 2), n_rounds=2)

    assert [len(result.rates) for result in results] == [2, 0, 0, 0, 0, 0]
    reasons = [result.why_not for result in results]
    right, turned, missing, no_library, failed, failed_later = reasons
    assert right == ""
    assert turned.startswith("other pictures: ")
    assert missing == "not installed: no_such_library"
    assert no_library == "not installed: libnosuch"
    assert failed == "RuntimeError: cannot read 8 files"
    assert failed_later == "RuntimeError: it worked before"
    page = report.table_as_markdown(table, results, 24)
    assert "| missing | not installed: no_such_library |" in page


def test_pictures_are_compared_with_pillows(files):
    task = Task(files, 32, 1)

    assert decibels(ours.transform, task) > 40  # of some files a quarter is decoded
    assert decibels(upside_down, task) < 20
    assert decibels(ours.fit, task) is None


def test_ratios_are_taken_round_by_round():
    first = Result("first", rates=[10.0, 5.0, 2.5])
    second = Result("second", rates=[5.0, 5.0, 10.0])
    table = Table("key", "title", corpora.photos, 10, 32, [])

    page = report.table_as_markdown(table, [first, second], 10)

    assert "| second | 5 | 1.00 (0.50-4.00) |" in page


@pytest.mark.parametrize(
    "make",
    [corpora.photos, corpora.large_photos, corpora.thumbnails, corpora.mixed_photos],
)
def test_a_corpus_is_the_same_every_time(make, tmp_path):
    first, second = make(tmp_path / "a", 2), make(tmp_path / "b", 2)

    contents = [Path(path).read_bytes() for path in first]
    assert contents == [Path(path).read_bytes() for path in second]
    assert contents[0] != contents[1]


def test_mixed_photos_differ_in_size_shape_quality_sampling_and_scans(tmp_path):
    longer, shapes, tables, samplings, scans = set(), set(), set(), set(), set()
    for path in corpora.mixed_photos(tmp_path, 40):
        with Image.open(path) as image:
            assert image.mode == "RGB"
            longer.add(max(image.size))
            shapes.add(image.width > image.height)
            tables.add(tuple(image.quantization[0]))
            samplings.add(JpegImagePlugin.get_sampling(image))
            scans.add("progression" in image.info)

    assert min(longer) >= 160
    assert max(longer) <= 2560
    assert max(longer) > 8 * min(longer)
    assert shapes == {True, False}
    assert len(tables) > 10
    assert samplings == {0, 1, 2}  # 4:4:4, 4:2:2, 4:2:0
    assert scans == {True, False}


@pytest.mark.parametrize("turn", [1, 6])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_photos_of_any_kind_are_compared(photos, tmp_path, mode, turn):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode_turned(photos[0].resize((100, 67)).convert(mode), turn))
    task = Task([str(path)], 48, 1)

    assert decibels(ours.transform, task) > 99
    for limit in (limits.decoding, limits.decoding_and_resizing, limits.decoding_and_simd):
        assert decibels(limit, task) is None


def test_uploads_and_their_recipes_show_the_same_pictures(files):
    found = one_upload.measure(files[:4], 32, n_uploads=3)

    assert [row.name for row in found] == [row.name for row, _ in one_upload.ROWS]
    assert min(row.decibels for row in found) > 40
    assert all(0 < row.median <= row.percentile_99 for row in found)
    beyond = {row.name: row.beyond for row in found}
    assert beyond[one_upload.PILLOW] == beyond[one_upload.CYKOOZ] == 0


@contender()
def seven_calls(task: Task, *, engine: str) -> Batches:
    """Make seven calls per image, and others that do not depend on the images."""

    def batches() -> list[object]:
        sorted(engine)
        for path in task.files:
            path.strip(), path.strip(), path.strip(), path.strip()
            path.upper(), path.upper(), path.upper()
        return []

    return batches


def test_calls_per_image_are_counted_without_those_per_pass(files, monkeypatch):
    monkeypatch.setitem(python_share.METHODS, "seven", seven_calls)
    assert python_share.calls_per_image(files[:9], 32, "pillow", "seven") == 7


needs_py_spy = pytest.mark.skipif(not python_share.sampler(), reason="needs py-spy")


@needs_py_spy
def test_the_sampler_tells_time_under_the_lock_from_other_work():
    free, held = (
        python_share.under_lock("tests.lock_holder", [n_held, 1.0]) for n_held in (0, 2)
    )

    assert free.locked < 0.3 * free.cpu
    assert 1.3 < held.locked < 3  # it held the lock for 2 ms
    assert held.cpu > held.locked


@needs_py_spy
def test_some_of_an_image_is_under_the_lock(files):
    arguments = [files, 32, "pillow", "fit", 0.5]
    share = python_share.under_lock("benchmarks.python_share", arguments)
    assert 0 < share.locked < share.cpu


def test_threads_are_limited_by_the_lock_and_processes_by_cores_alone():
    share = Share(cpu=0.5, locked=0.1, uncertainty=0)  # ms: 2,000 images/s on one core
    rates = [many_cores.at_most(share, n) for n in (1, 2, 8, 64)]
    assert rates == [2000, 4000, 10_000, 10_000]
    assert many_cores.at_most(share, 64, processes=True) == 128_000


def test_both_methods_are_measured_in_threads_and_in_processes(files, monkeypatch):
    monkeypatch.setattr(many_cores, "ENGINES", ("pillow",))

    rates = many_cores.measured("photos", corpora.photos, Task(files, 32, 1), [2], 1)

    assert list(rates) == [
        ("transform", "pillow", "threads", 2),
        ("transform", "pillow", "processes", 2),
        ("fit", "pillow", "threads", 2),
        ("fit", "pillow", "processes", 2),
    ]
    assert min(rates.values()) > 0
    shares = {(method, "pillow"): Share(0.5, 0.1, 0) for method in ("transform", "fit")}
    lines = many_cores.table(shares, rates, [2, 64]).splitlines()
    assert len(lines) == 2 + 4
    fit = f"{rates['fit', 'pillow', 'threads', 2]:,.0f}"
    assert f"| fit, pillow | 0.500 | 0.100 | 2 | 4,000 | {fit} | 4,000 | " in lines[4]
    assert lines[5].endswith("| 64 | 10,000 |  | 128,000 |  |")


def test_every_installed_peer_shows_the_same_pictures(tmp_path):
    rows = [row for table in TABLES[:2] for row in table.rows]
    peers = [row for row in rows if row.contender.prepare.__module__ == "benchmarks.peers"]
    table = Table("key", "title", corpora.photos, 8, 64, peers)

    results = measure(table, Task(corpora.photos(tmp_path, 8), 64, 2), n_rounds=1)

    ran = [result for result in results if not result.why_not.startswith("not installed")]
    assert {result.why_not for result in ran} == {""}
    assert all(result.decibels > 20 for result in ran)


def test_a_table_whose_first_row_fails_is_written_all_the_same(tmp_path):
    table = Table("key", "title", corpora.photos, 10, 32, [])
    results = [Result("first", why_not="broke"), Result("second", rates=[5.0])]

    page = report.table_as_markdown(table, results, 10)
    report.draw(tmp_path / "all.png", table, results)
    report.draw(tmp_path / "none.png", table, results[:1])

    assert "| second | 5 |  |" in page
    assert (tmp_path / "all.png").exists()


@pytest.mark.parametrize(
    "arguments", [["--rounds", "0"], ["--n-jobs", "-1"], ["--corpus", "nowhere"]]
)
def test_wrong_arguments_are_one_line_and_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--tables", "scale"])
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err.splitlines()[-1]


def test_stages_are_timed(files):
    assert min(stages.measure(files[:3], 32).values()) > 0


def test_many_paths_are_fitted_and_scheduled(files, monkeypatch):
    monkeypatch.setattr(many_files, "_AT_LEAST", 0.01)
    row = many_files.measure(files, 100, 32, 2)
    assert row["chunks"] >= 4
    assert min(row.values()) > 0


@pytest.mark.parametrize("details", [False, True])
def test_many_entries_are_checked(files, details):
    row = many_checks.measure(files, 100, details, 2)
    assert min(row.values()) > 0


def test_planted_faults_are_found_and_told_from_what_was_not_planted(tmp_path):
    planted = folder_check.plant(tmp_path, n_photos=60, n_faults=30)

    found = folder_check.measure("sknorm_images", str(tmp_path), n_jobs=2)["found"]

    assert len(list(tmp_path.iterdir())) == 60 + len(planted)
    assert {one.fault for one in planted} == set(folder_check.FAULTS)
    with Image.open(tmp_path / "planted_washed-out_000.jpg") as image:
        darkest, lightest = image.convert("L").getextrema()
    assert 170 < darkest < lightest
    missed = {
        one.fault
        for one in planted
        if one.finding not in found[folder_check.FAULTS[one.fault].kind]
    }
    assert missed <= {"mirrored", "blurred", "washed-out", "flattened"}  # some are faint
    found["too dark"].append("photo_00000.jpg")
    lines = folder_check.table(planted, {"ours": found}).splitlines()
    n_dark = sum(one.fault == "darkened" for one in planted)
    assert f"| too dark | {n_dark} | {n_dark / (n_dark + 1):.0%}, 100% |" in lines
    assert "ours, too dark, not planted (1): photo_00000.jpg" in lines
    assert "| - mirrored | 2 | 0% |" in lines


def test_a_folder_is_checked_without_cleanvision(monkeypatch, capsys):
    monkeypatch.setattr(folder_check, "find_spec", lambda name: None)
    folder_check.main(["--photos", "8", "--faults", "1", "--rounds", "1"])
    printed = capsys.readouterr().out
    assert "python -m pip install cleanvision" in printed
    assert "\nsknorm_images: " in printed
    assert "\nCleanVision: " not in printed


def test_a_backend_is_measured_in_a_process_of_its_own(files):
    row = in_new_process("benchmarks.backends", ["loky", files, 50, 32])
    assert min(row["rate"], row["seconds_a_call"], row["own_milliseconds_a_chunk"]) > 0
    assert row["milliseconds_a_chunk"] < 1000  # a difference, of noise where it is small


def test_training_is_fed_from_files_and_from_what_was_saved(tmp_path, capsys):
    saved_images.measure(tmp_path, n_files=12, size=32, batch_size=4, repeats=1, n_jobs=2)
    lines = capsys.readouterr().out.splitlines()
    rates = [line for line in lines if "images/s   ratio" in line]
    assert len(rates) == 11
    assert sum("files" in line and "ratio 1.00 (1.00-1.00)" in line for line in rates) == 2


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
@pytest.mark.parametrize("feed", ["ours", "control"])
def test_dropped_datasets_leave_neither_threads_nor_open_files(feed, capsys):
    found = keras_memory.measure(feed, 10, 32, 4, 4, 10, 2, "numpy")
    keras_memory.show(feed, **found)
    printed = capsys.readouterr().out
    [(threads, files), after] = re.findall(r"(\d+) threads, (\d+) open files", printed)
    assert len(re.findall(r"(?:\d+ ){3}\d+\n", printed)) == 1
    assert after == (threads, files)


def test_shuffling_is_measured_with_windows_and_without(tmp_path, capsys):
    windows.rates(tmp_path, n_images=96, size=16, window=64, repeats=1)
    assert capsys.readouterr().out.count("| .") == 2
    arguments = [str(tmp_path / "rows.zarr"), 3000, 16, 1024, 5]
    assert min(in_new_process("benchmarks.windows", arguments).values()) > 0


def test_keys_of_tables_are_unique():
    assert len({table.key for table in TABLES}) == len(TABLES)
