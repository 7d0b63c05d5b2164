"""The command ``sknorm-images``: the whole job without writing Python."""

try:
    import jinja2 as _jinja2  # noqa: F401 - the report is written with it
    import rich as _rich  # noqa: F401 - tables
    import typer as _typer  # noqa: F401 - the commands
except ImportError as error:
    raise ImportError(
        f"the command line needs libraries that are not installed: {error}. "
        'Run: python -m pip install "sknorm-images[cli]"'
    ) from error

from sknorm_images.cli._running import run

__all__ = ["run"]
