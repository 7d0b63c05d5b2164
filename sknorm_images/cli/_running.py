"""The program ``sknorm-images``: a command, its errors in one line, and an exit status."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import typer
from sklearn.exceptions import NotFittedError
from typer.main import get_command

from sknorm_images._common.wording import printable, show_name
from sknorm_images.cli._commands import app
from sknorm_images.cli._terminal import complain, discard, readable_warnings
from sknorm_images.cli._wording import in_options, options_by_parameter

_OF_A_CLOSED_PIPE = 128 + 13  # what a shell reports for a program that SIGPIPE ended


def run() -> int:
    """Run the command that ``sys.argv`` names; return the exit status."""
    is_module = Path(sys.argv[0]).name == "__main__.py"
    program = "python -m sknorm_images" if is_module else "sknorm-images"
    with _signals_end_the_run(), _closed_streams_are_ignored():
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # file names may be any bytes
        try:
            return _status_of(sys.argv[1:] or ["--help"], program)
        except BrokenPipeError:
            return _OF_A_CLOSED_PIPE
        except SystemExit as end:
            # Typer and Rich exit with 1, but from `check` that means that it found something.
            if isinstance(end.__context__, BrokenPipeError):
                return _OF_A_CLOSED_PIPE
            raise


def _status_of(arguments: list[str], program: str) -> int:
    """Run a command and return its exit status; if it fails, say why in one line."""
    parameters = _parameters_of(arguments[0])
    options = options_by_parameter(flag for parameter in parameters for flag in parameter.opts)
    try:
        _refuse_repeated(parameters, arguments)
        with readable_warnings(options):
            status = app(arguments, prog_name=program, standalone_mode=False)
            sys.stdout.flush()  # here, where a failure is reported
            return status or 0
    except Exception as error:
        if end := _end_behind(error):
            raise end from None  # a library failed while a signal ended the run
        if isinstance(error, BrokenPipeError):
            raise
        named = f"{program} {arguments[0]}" if parameters else program
        text, status = _problem_of(error, f"{named} --help")
        with suppress(OSError):  # stderr may be gone, with its terminal
            if status == 2:
                complain(in_options(text, options), f"{program} {arguments[0]}")
            else:
                typer.echo(text, err=True)
        return status


def _problem_of(error: Exception, how_to_get_help: str) -> tuple[str, int]:
    """Return why a command failed, and its exit status."""
    if isinstance(error, typer.TyperException):
        text = error.format_message()
        return f"{text}{'.' * (text[-1:] not in '.?')} See `{how_to_get_help}`.", 2
    if isinstance(error, NotFittedError):
        return "the pipeline is not fitted. Pass one that `sknorm-images fit` wrote.", 2
    if isinstance(error, MemoryError):
        return (
            "there is not enough memory. Fit with a smaller --size, or pass fewer --jobs.",
            2,
        )
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return f"{show_name(_as_text(error.filename))}: {error.strerror}", 2
    if isinstance(error, OSError | ValueError | TypeError | ImportError):
        return str(error), 2
    # A bug of the program, whose text may hold any name.
    lines = "".join(traceback.format_exception(error)).rstrip("\n").split("\n")
    return "\n".join(map(printable, lines)), 1


def _parameters_of(command: str) -> list[Any]:
    """List the arguments and options of the command of this name, as Typer has them."""
    commands = getattr(get_command(app), "commands", {})
    return commands[command].params if command in commands else []


def _refuse_repeated(parameters: Iterable[Any], arguments: list[str]) -> None:
    """Refuse an option that is given twice, of which Typer would take the last."""
    ends = arguments.index("--") if "--" in arguments else None
    given = arguments[:ends]
    for parameter in parameters:
        if parameter.param_type_name != "option" or parameter.multiple or parameter.is_flag:
            continue
        short = tuple(name for name in parameter.opts if not name.startswith("--"))
        names = [a for a in given if a.startswith(short) or a.split("=")[0] in parameter.opts]
        if len(names) > 1:
            raise ValueError(
                f"{parameter.opts[0]} was given {len(names)} times, and it has one value. "
                f"Give it once{', with commas between names' * ('A,B' in parameter.metavar)}."
            )


@contextmanager
def _signals_end_the_run() -> Iterator[None]:
    """Let a batch scheduler or a closed terminal end the run as Ctrl-C does.

    So no unfinished file stays behind. A signal that is already ignored, as with nohup, still
    is.
    """
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    defaults = (signal.SIG_DFL, signal.default_int_handler)
    handled = {n: handler for n in numbers if (handler := signal.getsignal(n)) in defaults}
    report = sys.unraisablehook
    for number in handled:
        signal.signal(number, _end_run)
    sys.unraisablehook = partial(_send_again, report)
    try:
        yield
    finally:
        sys.unraisablehook = report
        for number, handler in handled.items():
            signal.signal(number, handler)


def _end_run(number: int, frame: FrameType | None) -> None:
    """Exit, unless the run is already ending.

    The shell and the kernel each send a signal when a terminal is closed, and a second exit
    would cut short the removal of unfinished files.
    """
    if _is_sending(frame):  # where the exit would be lost again
        _send_later(number)
    elif _end_behind(sys.exception()) is None:
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


def _send_again(
    report: Callable[[sys.UnraisableHookArgs], object], ignored: sys.UnraisableHookArgs
) -> None:
    """Send a signal again if its exit was lost.

    Python ignores exceptions in ``__del__`` and in callbacks of forks and of the garbage
    collector, so it also ignores an exit if the signal happens to arrive there.
    """
    lost = ignored.exc_value
    exits = {128 + n: n for n in signal.valid_signals()}
    if isinstance(lost, KeyboardInterrupt):
        number = int(signal.SIGINT)
    elif isinstance(lost, SystemExit) and lost.code in exits:
        number = int(exits[lost.code])
    else:
        report(ignored)
        return
    _send_later(number)


def _send_later(number: int) -> None:
    """Send a signal to this process after the callback, usually."""
    threading.Timer(0.01, os.kill, (os.getpid(), number)).start()


def _is_sending(frame: FrameType | None) -> bool:
    """Whether a signal arrives while `_send_again` is running, as it may on a busy machine."""
    while frame is not None and frame.f_code is not _send_again.__code__:
        frame = frame.f_back
    return frame is not None


def _end_behind(error: BaseException | None) -> BaseException | None:
    """Find the exit or interrupt during which an exception was raised, if any."""
    while error is not None and not isinstance(error, KeyboardInterrupt | SystemExit):
        error = error.__context__
    return error


@contextmanager
def _closed_streams_are_ignored() -> Iterator[None]:
    """Replace standard streams that are closed, at this end or the other, by the null device.

    Otherwise Python fails to flush them at exit, and exits with another status.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # 2>&-
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 (until the end)
    streams = sys.stdout, sys.stderr
    try:
        yield
    finally:
        for stream in streams:
            try:
                stream.flush()
            except OSError:
                discard(stream)


def _as_text(filename: str | bytes | int) -> str:
    """Return the name of a file in an OSError, which may also be a descriptor."""
    return str(filename) if isinstance(filename, int) else os.fsdecode(filename)
