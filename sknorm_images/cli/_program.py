"""The program ``sknorm-images``: a command, its errors in one line, and an exit status."""

from __future__ import annotations

import io
import signal
import sys
from pathlib import Path

import typer

from sknorm_images.cli._commands import app
from sknorm_images.cli._terminal import complain, readable_warnings


def run() -> int:
    """Run the command that ``sys.argv`` names; return the exit status."""
    is_module = Path(sys.argv[0]).name == "__main__.py"
    program = "python -m sknorm_images" if is_module else "sknorm-images"
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may be any bytes
    # Ended by a batch scheduler, too, it leaves no part of a file behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    arguments = sys.argv[1:] or ["--help"]
    command = f"{program} {arguments[0]}"
    try:
        with readable_warnings():
            status = app(arguments, prog_name=program, standalone_mode=False)
    except typer.TyperException as error:
        complain(
            f"{error.format_message().rstrip('.')}. `{program} --help` says more.", command
        )
        return 2
    except MemoryError:
        complain(
            "there is not enough memory. Fit with a smaller --size, or pass fewer --jobs.",
            command,
        )
        return 2
    except (OSError, ValueError, TypeError, ImportError) as error:
        complain(error, command)
        return 2
    return status or 0
