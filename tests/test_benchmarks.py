"""The benchmarks run, compare pictures before speed, and say what they left out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks import (
    corpora,
    limits,
    many_files,
    ours,
    report,
    saved_images,
    stages,
)
from benchmarks.__main__ import main
from benchmarks.contender import Batches, Task, contender, decibels
from benchmarks.new_process import in_new_process
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
        Row("broken", broken),
        Row("broken later", broken_later),
    ]
    table = Table("key", "title", corpora.photos, 24, 32, rows, at_least_decibels=35)

    results = measure(table, Task(files, 32, 2), n_rounds=2)

    assert [len(result.rates) for result in results] == [2, 0, 0, 0, 0]
    right, turned, missing, failed, failed_later = (result.why_not for result in results)
    assert right == ""
    assert turned.startswith("other pictures: ")
    assert missing == "not installed: no_such_library"
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


@pytest.mark.parametrize("make", [corpora.photos, corpora.large_photos, corpora.thumbnails])
def test_a_corpus_is_the_same_every_time(make, tmp_path):
    first, second = make(tmp_path / "a", 2), make(tmp_path / "b", 2)

    contents = [Path(path).read_bytes() for path in first]
    assert contents == [Path(path).read_bytes() for path in second]
    assert contents[0] != contents[1]


@pytest.mark.parametrize("turn", [1, 6])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_photos_of_any_kind_are_compared(photos, tmp_path, mode, turn):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encode_turned(photos[0].resize((100, 67)).convert(mode), turn))
    task = Task([str(path)], 48, 1)

    assert decibels(ours.transform, task) > 99
    for limit in (limits.decoding, limits.decoding_and_resizing, limits.decoding_and_simd):
        assert decibels(limit, task) is None


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


def test_keys_of_tables_are_unique():
    assert len({table.key for table in TABLES}) == len(TABLES)
