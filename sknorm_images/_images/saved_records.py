"""What a saved array says about itself: which images are blank in it, and why."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from sknorm_images._common.exceptions import ImageDecodeError
from sknorm_images._common.failures import Failures, ReadError
from sknorm_images._common.wording import shorten

SAVED_SUFFIXES = (".npy", ".zarr")  # of arrays that `save_images` writes
# The attribute of a Zarr array that holds the record, and the key of it in a JSON file.
RECORD_KEY = "sknorm_images"
_SUFFIX = ".sknorm-images.json"
_LONGEST_NAME = 255  # bytes, in most file systems


@dataclass(frozen=True)
class SavedRecord:
    """What is known of a saved array; an empty record says nothing.

    `identity` names the images and settings that it was made of, None if that is unknown.
    While `is_being_mended`, the pixels of rows that are listed may be incomplete.
    """

    identity: str | None = None
    failures: Failures = field(default_factory=Failures)
    is_being_mended: bool = False

    def as_json(self) -> dict[str, Any]:
        """Describe the record in what JSON can hold."""
        return {
            "identity": self.identity,
            "failures": [[row, *_cause(self.failures[row])] for row in sorted(self.failures)],
            "is_being_mended": self.is_being_mended,
        }

    @classmethod
    def from_json(cls, saved: Any) -> SavedRecord:
        """Read what `as_json` returned; raises ValueError if it is something else."""
        try:
            if not isinstance(saved, Mapping):
                raise TypeError(f"it is a {type(saved).__name__}")
            failures = Failures(
                (int(row), ImageDecodeError(str(source), str(reason), int(row)))
                for row, source, reason in saved["failures"]
            )
            return cls(saved["identity"], failures, bool(saved["is_being_mended"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                "The record of failed images is not as save_images wrote it, so blank rows "
                f"cannot be told: {shorten(error)}. Save the array again."
            ) from error


def named(failures: Failures, names: Mapping[int, str]) -> Failures:
    """Turn errors of files into those that have a source, by the names of the images."""
    return Failures(
        (row, ImageDecodeError(names[row], _cause(error)[1], row))
        for row, error in failures.items()
    )


def _cause(error: ReadError) -> tuple[str, str]:
    """Tell the source of an error, and the reason, in a few words."""
    if isinstance(error, ImageDecodeError):
        return error.source, shorten(error.reason)
    return str(error.filename), shorten(error.strerror or error)


def record_file(array: Path) -> Path:
    """Name the file beside an ``.npy`` file that holds its record; links are followed."""
    target = array.resolve()
    name = target.name + _SUFFIX
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = sha256(os.fsencode(target.name)).hexdigest()[:32] + _SUFFIX
    return target.with_name(name)
