"""What a saved array says of itself: which images are blank, labels, and names of files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknorm_images._common.exceptions import ImageDecodeError
from sknorm_images._common.failures import Failures, ReadError
from sknorm_images._common.wording import shorten

SAVED_SUFFIXES = (".npy", ".zarr")  # of arrays that `save_images` writes
# The attribute of a Zarr array that holds the record, and the key of it in a JSON file.
RECORD_KEY = "sknorm_images"
_SUFFIX = ".sknorm-images.json"
_N_SAMPLED = 16  # images that tell whether a record belongs to an array
_LONGEST_NAME = 255  # bytes, in most file systems


@dataclass(frozen=True)
class Beside:
    """What was saved beside the pixels, as JSON holds it: there may be a million labels.

    `target` has a dtype and values, and `filenames` are names; None if there are none.
    """

    target: Mapping[str, Any] | None = None
    filenames: list[str] | None = None

    @classmethod
    def of(cls, target: NDArray[Any] | None, filenames: list[str] | None) -> Beside:
        """Describe arrays in what JSON can hold."""
        if target is None:
            return cls(None, filenames)
        return cls({"dtype": target.dtype.str, "values": target.tolist()}, filenames)

    def as_json(self) -> dict[str, Any]:
        """Describe what there is."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def read(self, n_rows: int) -> tuple[NDArray[Any] | None, list[str] | None]:
        """Return arrays again; raises ValueError if they are not for so many rows."""
        try:
            target, filenames = None, None
            if self.target is not None:
                target = np.array(self.target["values"], np.dtype(self.target["dtype"]))
                target.setflags(write=False)
            if self.filenames is not None:
                filenames = [str(name) for name in self.filenames]
            for found in (target, filenames):
                if found is not None and len(found) != n_rows:
                    raise ValueError(f"{len(found)} for {n_rows} rows")
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                "The labels or names of files are not as save_images wrote them: "
                f"{shorten(error)}. Save the array again."
            ) from error
        return target, filenames


@dataclass(frozen=True)
class SavedRecord:
    """What is known of a saved array; an empty record says nothing.

    `identity` names the images and settings that it was made of, None if that is unknown.
    While `is_being_mended`, the pixels of rows that are listed may be incomplete. `beside` are
    labels and names of files, and `looks` tells the ``.npy`` file that they belong to.
    """

    identity: str | None = None
    failures: Failures = field(default_factory=Failures)
    is_being_mended: bool = False
    beside: Beside = field(default_factory=Beside)
    looks: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Describe the record in what JSON can hold."""
        return {
            "identity": self.identity,
            "failures": [[row, *_cause(self.failures[row])] for row in sorted(self.failures)],
            "is_being_mended": self.is_being_mended,
            **self.beside.as_json(),
            **({} if self.looks is None else {"looks": self.looks}),
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
            beside = Beside(saved.get("target"), saved.get("filenames"))
            is_being_mended = bool(saved["is_being_mended"])
            return cls(
                saved["identity"], failures, is_being_mended, beside, saved.get("looks")
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                "The record of failed images is not as save_images wrote it, so it is "
                f"unknown which rows are blank: {shorten(error)}. Save the array again."
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


def looks_of(array: NDArray[Any], failures: Failures) -> str:
    """Make a digest of some images, to tell an array from another of the same name.

    Images that failed are left out, since they are written anew.
    """
    digest = sha256(repr((array.shape, array.dtype.str)).encode())
    n_sampled = min(_N_SAMPLED, len(array))
    for row in np.unique(np.linspace(0, len(array) - 1, n_sampled, dtype=int)).tolist():
        if row not in failures:
            digest.update(array[row].tobytes())
    return digest.hexdigest()


def record_file(array: Path) -> Path:
    """Name the file beside an ``.npy`` file that holds its record; links are followed."""
    target = array.resolve()
    name = target.name + _SUFFIX
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = sha256(os.fsencode(target.name)).hexdigest()[:32] + _SUFFIX
    return target.with_name(name)
