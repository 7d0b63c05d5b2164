"""Commands that a signal ends, or whose terminal or pipe is gone: quiet, and nothing left."""

from __future__ import annotations

import fcntl
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import joblib
import pytest

from sknorm_images import ChannelStandardScaler, make_image_pipeline
from tests import new_process
from tests.command import COMMAND, call
from tests.test_interrupts import group_ends

PATIENCE = 300  # seconds; only a test that fails waits so long
# Of this program's own handlers: test_commands.py ends a run by signals with each version.
OF_THE_HANDLERS = pytest.mark.one_version


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def many(files: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """480 files, which take some seconds at the size of `pipeline`."""
    folder = tmp_path_factory.mktemp("many")
    for i in range(480):
        (folder / f"{i:03}.jpg").symlink_to(files[i % 24])
    return folder


@pytest.fixture(scope="module")
def few(files: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few")
    for path in map(Path, files):
        (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pipeline") / "pipeline.joblib"
    joblib.dump(
        make_image_pipeline(512, ChannelStandardScaler(mean=[100] * 3, std=[50] * 3)), path
    )
    return path


@contextmanager
def begun(
    arguments: list[Any], folder: Path, command: list[str] = COMMAND, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """Start a command, and go on when it has begun to write to a folder."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    with subprocess.Popen([*command, *map(str, arguments)], **options) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while not names_in(folder):
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.002)
            yield process
        finally:
            process.kill()  # unless it has ended


def writers(many: Path, pipeline: Path, folder: Path) -> dict[str, list[Any]]:
    """Arguments of each command that writes a file."""
    return {
        "fit": ["fit", many, "--size", 512, "-j", 1, "-o", folder / "out.joblib"],
        "transform": ["transform", many, "-p", pipeline, "-j", 1, "-o", folder / "out.npz"],
        "report": ["report", many, "-p", pipeline, "-j", 1, "-o", folder / "out.html"],
    }


@OF_THE_HANDLERS
def test_commands_that_sighup_ends_say_nothing_and_leave_nothing(many, pipeline, tmp_path):
    def end(name: str) -> tuple[int, str, str, list[str]]:
        folder = tmp_path / name
        folder.mkdir()
        with begun(writers(many, pipeline, folder)[name], folder) as process:
            process.send_signal(signal.SIGHUP)
            out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err, names_in(folder)

    with ThreadPoolExecutor(3) as threads:
        ends = list(threads.map(end, ("fit", "transform", "report")))
    assert ends == [(128 + signal.SIGHUP, "", "", [])] * 3


AT_RANDOM = """
import os, random, signal, sys, time
from pathlib import Path

from sknorm_images.__main__ import main
import sknorm_images.cli  # once, and not in each fork

folder = Path(inputs["folder"])
moments = random.Random(0)
statuses = []
for _ in range(inputs["n_times"]):
    if not (child := os.fork()):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(os.open(inputs["errors"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
        sys.argv = inputs["command"]
        sys.exit(main())
    while not list(folder.iterdir()):
        time.sleep(0.001)
    for _ in range(moments.randrange(1, 6)):
        time.sleep(moments.choice([0, 0.0001, 0.001, 0.01]))
        try:
            os.kill(child, getattr(signal, moments.choice(inputs["signals"])))
        except ProcessLookupError:
            break
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    left = os.listdir(folder)
    assert not left, (statuses, left)
print(json.dumps(statuses))
"""


@OF_THE_HANDLERS
@pytest.mark.parametrize("names", [["SIGHUP", "SIGTERM"], ["SIGHUP", "SIGTERM", "SIGINT"]])
def test_several_signals_at_random_moments_leave_nothing(names, many, pipeline, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    errors = tmp_path / "errors"
    said = new_process.answer(
        AT_RANDOM,
        folder=str(out),
        errors=str(errors),
        command=["sknorm-images", *map(str, writers(many, pipeline, out)["transform"])],
        signals=names,
        n_times=8,
    )
    sys.stdout.write(f"{said}\n")  # pytest -rP
    # Once all is cleared up, a further signal ends the process itself.
    assert set(said) <= {129, 130, 143, -signal.SIGHUP, -signal.SIGTERM, -signal.SIGINT}
    if "SIGINT" not in names:
        assert errors.read_text() == ""


@pytest.mark.parametrize("is_ignored", [False, True], ids=["SIGHUP arrives", "it is ignored"])
def test_a_terminal_that_is_closed_ends_what_it_shows(
    is_ignored, few, many, pipeline, tmp_path
):
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        if is_ignored:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with begun(
        writers(few if is_ignored else many, pipeline, tmp_path)["transform"],
        tmp_path,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=take_terminal,
    ) as process:
        os.close(theirs)
        os.close(ours)
        status = process.wait(PATIENCE)
    # A progress bar goes without its terminal.
    assert status == (0 if is_ignored else 128 + signal.SIGHUP)
    assert names_in(tmp_path) == (["out.npz"] if is_ignored else [])


WITH_LOKY = """
import sys

import joblib
from sknorm_images.__main__ import main

joblib.parallel_config("loky", n_jobs=2)
sys.exit(main())
"""


@pytest.mark.skipif(shutil.which("ps") is None, reason="workers are counted with ps")
def test_workers_end_with_the_run_that_sighup_ends(many, pipeline, tmp_path):
    folder, output = tmp_path / "very many", tmp_path / "output"
    folder.mkdir()
    output.mkdir()
    for i in range(20_000):  # the run does not end before its workers are counted
        (folder / f"{i:05}.jpg").symlink_to(many / f"{i % 480:03}.jpg")
    arguments = ["fit", folder, "--size", 512, "-j", 2, "-o", output / "out.joblib"]
    with begun(
        arguments, output, [sys.executable, "-c", WITH_LOKY], start_new_session=True
    ) as process:
        deadline = time.monotonic() + PATIENCE
        while n_in_group(process.pid) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGHUP
    assert group_ends(process.pid)
    assert names_in(output) == []


def n_in_group(group: int) -> int:
    found = subprocess.run(
        ["ps", "-A", "-o", "pgid="], capture_output=True, text=True, check=True
    )
    return found.stdout.split().count(str(group))


@pytest.mark.parametrize("code", [0, 1, "text", None, 1000])
def test_an_exit_of_anything_else_that_python_ignores_is_reported(
    code, demo_folder, monkeypatch, capsys
):
    class Ending:
        def __del__(self) -> None:
            raise SystemExit(code)

    def work(*_: Any) -> None:
        Ending()
        raise ValueError("it goes on")

    reported = []
    monkeypatch.setattr("sknorm_images.demo.make_photo_folder", work)
    monkeypatch.setattr(sys, "unraisablehook", reported.append)
    assert call("demo") == 2
    assert [unraisable.exc_value.code for unraisable in reported] == [code]
    assert "it goes on" in capsys.readouterr().err


@pytest.fixture
def demo_folder(monkeypatch, tmp_path):
    """Where the demo makes its folder; a test can replace what it does first."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sknorm_images.demo.choose_backend", lambda: None)
    return tmp_path


@pytest.mark.parametrize("further", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_further_signal_does_not_cut_short_what_the_first_one_has_cleared_up(
    further, demo_folder, monkeypatch
):
    """A closed terminal sends two: one is its shell's, one is the kernel's."""
    remove = shutil.rmtree

    def end(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGHUP)

    def make_and_end(folder: Path) -> None:
        folder.mkdir()
        end()

    def end_and_remove(*arguments: Any, **options: Any) -> None:
        os.kill(os.getpid(), further)
        end()
        remove(*arguments, **options)

    monkeypatch.setattr("sknorm_images.demo.make_photo_folder", make_and_end)
    monkeypatch.setattr(shutil, "rmtree", end_and_remove)
    assert call("demo") == 128 + signal.SIGHUP
    assert names_in(demo_folder) == []


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("callback", ["__del__", "weakref", "fork"])
def test_a_signal_that_arrives_where_python_ignores_exceptions_ends_the_run(
    number, callback, demo_folder, monkeypatch, capsys
):
    sent = []

    def send(*_: Any) -> None:
        sent.append(number)
        os.kill(os.getpid(), number)

    class Ending:
        if callback == "__del__":
            __del__ = send

    def work(*_: Any) -> None:
        ending = Ending()
        reference = weakref.ref(ending, send if callback == "weakref" else None)
        del ending
        if callback == "fork":
            # What is registered stays so: it must do nothing in the tests that follow.
            os.register_at_fork(after_in_parent=lambda: None if sent else send())
            if not (child := os.fork()):
                os._exit(0)
            os.waitpid(child, 0)
        assert sent
        time.sleep(PATIENCE)
        del reference

    monkeypatch.setattr("sknorm_images.demo.make_photo_folder", work)
    assert call("demo") == 128 + number
    assert capsys.readouterr().err == ""
    assert names_in(demo_folder) == []


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_is_sent_again_too_early_is_sent_once_more(
    number, demo_folder, monkeypatch, capsys
):
    """A busy machine may run the thread that sends it before Python has ignored the first."""

    class Early(threading.Timer):
        n_started = 0

        def start(self) -> None:
            Early.n_started += 1
            if Early.n_started == 1:
                os.kill(os.getpid(), number)
            else:
                super().start()

    class Ending:
        def __del__(self) -> None:
            os.kill(os.getpid(), number)

    def work(*_: Any) -> None:
        ending = Ending()
        del ending
        time.sleep(PATIENCE)

    monkeypatch.setattr(threading, "Timer", Early)
    monkeypatch.setattr("sknorm_images.demo.make_photo_folder", work)
    assert call("demo") == 128 + number
    assert Early.n_started == 2
    assert capsys.readouterr().err == ""


# Streams that are gone


def through_shell(redirection: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "sh", *COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_a_pipe_that_is_closed_is_no_finding(few):
    """What `check photos | head -1` leaves: as after SIGPIPE, not 1 or 2."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as closed, ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [*COMMAND, *arguments], stdout=closed, stderr=subprocess.PIPE, text=True
                )
            )
            for arguments in (["check", few], ["check", few, "--csv"], ["--help"])
        ]
        for process in processes:
            _, err = process.communicate(timeout=PATIENCE)
            assert (process.returncode, err) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize(
    ("redirection", "folder", "expected"),
    [
        ("2>&-", "few", (0, "24 files: 0 broken, 0 damaged, 0 duplicates")),
        ("2>/dev/full", "missing", (2, "")),
    ],
)
def test_a_stream_that_is_closed_or_full_changes_no_status(redirection, folder, expected, few):
    importing = f"{sys.executable} -c 'import numpy.f2py' {redirection}"
    if subprocess.run(["sh", "-c", importing], check=False).returncode:
        pytest.skip("NumPy 2.0 cannot be imported without stderr")
    finished = through_shell(redirection, "check", few if folder == "few" else folder)
    lines = finished.stdout.splitlines()
    [summary] = [line for line in lines if " files: " in line] or [""]
    assert ((finished.returncode, summary), finished.stderr) == (expected, "")


# The process that calls it


@pytest.mark.parametrize("before", [signal.SIG_DFL, signal.SIG_IGN, lambda *_: None])
def test_a_command_leaves_the_handlers_of_signals_as_they_were(before, capsys):
    kept = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
    try:
        for number in kept:
            signal.signal(number, before)
        assert call("--version") == 0
        assert [signal.getsignal(number) for number in kept] == [before] * 2
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
