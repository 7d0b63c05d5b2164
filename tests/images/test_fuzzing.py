"""Damaged files: decoded as Pillow decodes them, or refused; and a judge that would notice."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
import time
import warnings
from collections.abc import Iterable
from hashlib import sha256

import numpy as np
import pytest

from sknorm_images import ImageDecodeError
from tests import new_process
from tests.fuzzing import __main__ as command
from tests.fuzzing import atheris_target
from tests.fuzzing.cases import Case, Options, make_case
from tests.fuzzing.corpus import corpus
from tests.fuzzing.judge import DECODED, FAILED, REFUSED, ask_pillow, judge, load
from tests.fuzzing.mutations import MUTATIONS, pieces
from tests.fuzzing.runner import Limits, Report, run

SEED = 0
N_CASES = 150 * len(MUTATIONS)
OF_THE_TOOL = pytest.mark.one_version  # of the judge or the runner, not of the package
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="measured in /proc")


@pytest.fixture(scope="module")
def report() -> Report:
    return run(range(N_CASES), SEED)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_damaged_files_are_decoded_as_by_pillow_or_refused(report, mutation):
    cases = [(make_case(SEED, number), reason) for number, reason in report.failures]
    assert not [f"{case}: {reason}" for case, reason in cases if case.mutation == mutation]


def test_damaged_files_leave_no_memory_and_no_files_behind(report):
    assert report.mebibytes < Limits().mebibytes
    assert report.left_open == 0


def test_a_good_share_of_damaged_files_takes_each_way(report):
    assert report.n_cases == N_CASES
    assert report.decoded > N_CASES / 4
    assert report.refused.total() > N_CASES / 4
    assert {"OSError", "UnidentifiedImageError", "max_pixels", "max_scans"} <= {
        *report.refused
    }


@pytest.mark.parametrize("name", corpus())
def test_files_that_are_not_damaged_are_decoded(name):
    for color_mode in ("rgb", "grayscale"):
        for exif_orientation in (True, False):
            for size in (None, (9, 14)):
                options = Options(color_mode, exif_orientation, size=size)
                assert judge(corpus()[name], options).outcome == DECODED


@OF_THE_TOOL
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutation_changes_most_files_and_copes_with_scraps(mutation):
    mutate = MUTATIONS[mutation]
    changed = [
        mutate(data, np.random.default_rng(i)) != data
        for i, data in enumerate(corpus().values())
    ]
    assert np.mean(changed) > 0.8
    for scrap in (
        b"",
        b"\xff",
        b"\xff\xd8",
        b"\xff\xda\x00",
        b"\xff\xc0\x00\x03\x08",
        b"text",
    ):
        for i in range(20):
            assert isinstance(mutate(scrap, np.random.default_rng(i)), bytes)


@OF_THE_TOOL
def test_the_pieces_of_a_file_are_the_file():
    for number in range(500):
        data = make_case(1, number).data
        assert b"".join(pieces(data)) == data


@OF_THE_TOOL
def test_seed_and_number_say_which_bytes():
    code = (
        "from tests.images.test_fuzzing import digest, make_case\n"
        "print(json.dumps(digest(make_case(7, number) for number in range(99))))"
    )
    elsewhere = new_process.answer(code)
    assert elsewhere == digest(make_case(7, number) for number in range(99))
    assert len({make_case(seed, 5).data for seed in range(20)}) == 20


def digest(cases: Iterable[Case]) -> str:
    return sha256(b"".join(str(case).encode() + case.data for case in cases)).hexdigest()


# What a broken loader might do, and what the judge has to say of it.


def one_level_off(source, options):
    pixels = load(source, options)
    pixels[0, 0, 0] ^= 1
    return pixels


def not_turned(source, options):
    return load(source, Options(options.color_mode, exif_orientation=False))


def in_floats(source, options):
    return load(source, options).astype(np.float32)


def without_channels(source, options):
    return load(source, options)[..., 0]


def raises_another_class(source, options):
    raise KeyError("marker")


def runs_out_of_memory(source, options):
    raise MemoryError


def refuses_all(source, options):
    raise ImageDecodeError(f"<{len(source)} bytes>", "it looks odd", 0)


class TwoLinesError(ImageDecodeError):
    def __str__(self) -> str:
        return "broken\nin two"


def refuses_in_two_lines(source, options):
    raise TwoLinesError(f"<{len(source)} bytes>", "broken", 0)


def refuses_without_position(source, options):
    raise ImageDecodeError(f"<{len(source)} bytes>", "broken")


def refuses_with_another_guard(source, options):
    raise ImageDecodeError(f"<{len(source)} bytes>", "more scans than max_scans=100", 0)


def decodes_all(source, options):
    return np.zeros((8, 8, 3), np.uint8)


def without_guards(source, options):
    return load(source, Options(max_scans=10_000))


def warns(source, options):
    warnings.warn("about to decode", stacklevel=1)
    return load(source, options)


LEFT_OPEN: list[int] = []


def leaves_files_open(source, options):
    LEFT_OPEN.append(os.open(os.devnull, os.O_RDONLY))
    return load(source, options)


def is_slow(source, options):
    time.sleep(0.2)
    return load(source, options)


GOOD, TURNED, PROGRESSIVE = "grayscale", "orientation 6", "progressive"


@OF_THE_TOOL
@pytest.mark.parametrize(
    ("broken", "name", "cut", "options", "complaint"),
    [
        (one_level_off, GOOD, None, Options(), "1 grey levels from what Pillow decodes"),
        (one_level_off, GOOD, None, Options(size=(8, 8)), "1 grey levels from what Pillow"),
        (not_turned, TURNED, None, Options(), r"shape is \(33, 88, 3\), and Pillow's \(88"),
        (not_turned, "orientation 3", None, Options(), "grey levels from what Pillow decodes"),
        (in_floats, GOOD, None, Options(), "gives float32, not uint8"),
        (without_channels, GOOD, None, Options(), "its shape is"),
        (raises_another_class, GOOD, 200, Options(), "raises KeyError: 'marker'"),
        (runs_out_of_memory, GOOD, 200, Options(), "raises MemoryError"),
        (refuses_all, GOOD, None, Options(), "refuses what Pillow decodes: it looks odd"),
        (refuses_in_two_lines, GOOD, 200, Options(), "not one line"),
        (refuses_without_position, GOOD, 200, Options(), "its error names .* at None"),
        (
            refuses_with_another_guard,
            GOOD,
            None,
            Options(max_pixels=100),
            "names max_scans, and max_pixels is exceeded",
        ),
        (decodes_all, GOOD, 200, Options(), "decodes what is to be refused: OSError"),
        (without_guards, GOOD, None, Options(max_pixels=100), "to be refused: max_pixels"),
        (without_guards, PROGRESSIVE, None, Options(max_scans=3), "to be refused: max_scans"),
        (warns, GOOD, None, Options(), "warns where Pillow does not.*about to decode"),
        pytest.param(
            *(leaves_files_open, GOOD, None, Options(), "leaves 1 files open"), marks=ON_LINUX
        ),
        (is_slow, GOOD, None, Options(), r"takes 0\.\d s"),
    ],
)
def test_the_judge_notices(broken, name, cut, options, complaint):
    data = corpus()[name][:cut]
    assert judge(data, options, load, seconds=5).outcome != FAILED
    verdict = judge(data, options, broken, seconds=0.1)
    while LEFT_OPEN:
        os.close(LEFT_OPEN.pop())
    assert verdict.outcome == FAILED
    assert re.search(complaint, verdict.reason)


@pytest.mark.parametrize("n", [9, 10])
def test_the_judge_counts_the_scans_that_a_decoder_goes_through(n):
    data = corpus()[PROGRESSIVE]  # Pillow's encoder makes ten
    assert (ask_pillow(data, Options(max_scans=n)).error == "max_scans") == (n < 10)
    behind = data + data  # what follows the end of the image is no scan of it
    assert (ask_pillow(behind, Options(max_scans=n)).error == "max_scans") == (n < 10)
    assert judge(behind, Options(max_scans=n)).outcome == (REFUSED if n < 10 else DECODED)


# What no process survives; cases meet it by the length of their files.


def is_met(source) -> bool:
    return isinstance(source, bytes) and len(source) % 4 == 0


def crashes(source, options):
    if is_met(source):
        os.kill(os.getpid(), signal.SIGSEGV)
    return load(source, options)


def ends_in_order(source, options):
    if is_met(source):
        os._exit(0)
    return load(source, options)


def hangs(source, options):
    if is_met(source):
        os.kill(os.getpid(), signal.SIGSTOP)  # nothing in the process goes on
    return load(source, options)


def takes_too_much(source, options):
    if is_met(source):
        np.empty(2 * Limits().address_mebibytes * 2**20, np.uint8)
    return load(source, options)


KEPT: list[np.ndarray] = []


def keeps_memory(source, options):
    KEPT.append(np.ones(40 * 2**20, np.uint8))
    return load(source, options)


@OF_THE_TOOL
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    ("broken", "reason", "limits"),
    [
        (crashes, "the process ends by SIGSEGV", Limits()),
        (ends_in_order, "the process ends by exit code 0", Limits()),
        (hangs, "it hangs: no answer in 3.0 s", Limits(patience=3)),
        pytest.param(takes_too_much, "it raises .*MemoryError", Limits(), marks=ON_LINUX),
    ],
)
def test_a_run_goes_on_behind_a_case_that_ends_its_process(broken, reason, limits):
    cases = [make_case(2, number) for number in range(60)]
    met = [n for n, case in enumerate(cases) if is_met(case.data) and not case.options.as_path]
    numbers = range(met[1])  # one that meets it, and some behind
    report = run(numbers, 2, 1, limits, broken)
    assert [failure.number for failure in report.failures] == met[:1]
    assert re.search(reason, report.failures[0].reason)
    assert report.n_cases == len(numbers) > met[0] + 1


@OF_THE_TOOL
@ON_LINUX
def test_a_run_notices_memory_that_is_kept():
    report = run(range(4), SEED, 1, Limits(mebibytes=64), keeps_memory)
    assert [failure.number for failure in report.failures] == [1, 3]  # 2 x 40 MiB > 64
    assert re.match(r"peak memory grew by (7[5-9]|8\d) MiB", report.failures[0].reason)
    assert report.n_cases == 4


@OF_THE_TOOL
def test_an_interrupt_ends_a_run_and_its_workers():
    done = []

    def interrupt_at_the_tenth():
        done.append(1)
        if len(done) == 10:
            raise KeyboardInterrupt

    others = set(multiprocessing.active_children())  # of joblib, from other tests
    report = run(range(10**9), SEED, 2, on_case=interrupt_at_the_tenth)
    assert report.was_interrupted
    assert report.n_cases == 10
    assert set(multiprocessing.active_children()) <= others


@OF_THE_TOOL
def test_the_command_says_what_became_of_the_cases(capsys):
    assert command.main(["--cases", "30", "--first", "24", "--jobs", "1"]) == 0
    printed = capsys.readouterr().out
    assert "cases:    30 in" in printed
    assert "failed:   0" in printed
    assert command.main(["--case", "30"]) == 0
    assert str(make_case(0, 30)) in capsys.readouterr().out


@OF_THE_TOOL
def test_the_command_keeps_the_files_of_failures(capsys, tmp_path):
    arguments = ["--cases", "2", "--seconds", "0", "--keep", str(tmp_path)]  # all too slow
    assert command.main(arguments) == 1
    printed = capsys.readouterr().out
    for number in range(2):
        case = make_case(0, number)
        assert (tmp_path / f"seed-0-case-{number}.jpg").read_bytes() == case.data
        note = (tmp_path / f"seed-0-case-{number}.txt").read_text()
        assert note.startswith(f"{case}\nit takes ")
        assert f"FAILED {case}: it takes " in printed


@OF_THE_TOOL
def test_the_target_for_atheris_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "atheris", None)
    with pytest.raises(ImportError, match="python -m pip install atheris"):
        atheris_target.main([])
