"""``sknorm-images``, or ``python -m sknorm_images``."""

from __future__ import annotations

import sys


def main() -> int:
    """Run a command; return the exit status."""
    try:
        from sknorm_images.cli import run

        return run()
    except KeyboardInterrupt:
        return 130  # what a shell says of a command that Ctrl-C ended
    except ImportError as error:
        print(f"sknorm-images: {error}", file=sys.stderr)  # noqa: T201 (typer may be missing)
        return 2


if __name__ == "__main__":
    sys.exit(main())
