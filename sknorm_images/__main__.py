"""``python -m sknorm_images``."""

from __future__ import annotations

import argparse
import sys

from sknorm_images import __version__


def main() -> int:
    """Run a command; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m sknorm_images",
        description="Folders of JPEG photos to normalised arrays.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo",
        help="fit a pipeline, train a small Keras model with it, save and load both",
        epilog="example: python -m sknorm_images demo --data photos",
    )
    demo.add_argument(
        "--data",
        metavar="DIR",
        help="a folder with one sub-folder of JPEG files a class; without it, files are cut "
        "out of the two photographs that scikit-learn ships",
    )
    arguments = parser.parse_args()

    from sknorm_images.demo import run_demo

    try:
        return run_demo(arguments.data)
    except KeyboardInterrupt:
        return 130  # what a shell says of a command that Ctrl-C ended
    except (OSError, ValueError, ImportError) as error:
        print(f"{parser.prog} {arguments.command}: {error}", file=sys.stderr)  # noqa: T201 (a command tells its user)
        return 2


if __name__ == "__main__":
    sys.exit(main())
