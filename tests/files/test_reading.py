"""Reading yields what every source holds, or why it holds nothing, and nothing raises."""

from __future__ import annotations

import os

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from sknorm_images import ImageDecodeError
from sknorm_images._files.limits import Access
from sknorm_images._files.reading import Missing, contents_of

ACCESS = Access(("file", "memory"), max_pixels=1000)


@pytest.fixture
def urls() -> list[str]:
    """20 files at URLs, more than are fetched at once; the file system is emptied before."""
    MemoryFileSystem.store.clear()
    fs = MemoryFileSystem()
    for i in range(20):
        fs.pipe(f"/reading/{i}", b"remote %d" % i)
    return [f"memory://reading/{i}" for i in range(20)]


def test_contents_and_errors_come_in_the_order_of_all_kinds_of_sources(tmp_path, urls):
    (tmp_path / "local").write_bytes(b"local")
    array = np.zeros((2, 2), np.uint8)
    sources = [
        tmp_path / "local",
        urls[0],
        str(tmp_path / "absent"),
        b"bytes",
        Missing("None"),
        array,
        "memory://reading/absent",
        (tmp_path / "local").as_uri(),
        *urls[1:],
        tmp_path,
    ]
    found = list(contents_of(sources, ACCESS))

    assert found[:2] == [b"local", b"remote 0"]
    assert isinstance(found[2], FileNotFoundError)
    assert found[2].filename == str(tmp_path / "absent")
    assert found[3] == b"bytes"
    assert isinstance(found[4], ImageDecodeError)
    assert (found[4].source, found[4].position) == ("<missing>", None)
    assert found[5] is array
    assert isinstance(found[6], FileNotFoundError)
    assert found[6].filename == "memory://reading/absent"
    assert found[7:-1] == [b"local", *(b"remote %d" % i for i in range(1, 20))]
    assert isinstance(found[-1], IsADirectoryError | ImageDecodeError | PermissionError)


def test_a_local_file_is_read_when_its_turn_comes(tmp_path):
    path = tmp_path / "changing"
    path.write_bytes(b"first")
    contents = contents_of([path, path], ACCESS)
    assert next(contents) == b"first"
    path.write_bytes(b"second")
    assert next(contents) == b"second"


def test_what_is_not_allowed_is_yielded_as_an_error_and_not_opened(tmp_path, urls):
    (tmp_path / "local").write_bytes(b"local")
    nothing = Access((), max_pixels=1000)
    local, remote, content = contents_of([tmp_path / "local", urls[0], b"bytes"], nothing)
    assert isinstance(local, ValueError)
    assert "allows no local files" in str(local)
    assert isinstance(remote, ValueError)
    assert "uses the protocol memory" in str(remote)
    assert content == b"bytes"


def test_an_error_of_the_machine_is_yielded_for_the_consumer_to_raise(tmp_path, monkeypatch):
    (tmp_path / "local").write_bytes(b"local")
    fstat, calls = os.fstat, []

    def fail_first(file: int) -> os.stat_result:
        calls.append(file)
        if len(calls) == 1:
            raise MemoryError("no memory")
        return fstat(file)

    monkeypatch.setattr(os, "fstat", fail_first)
    failed, content = contents_of([tmp_path / "local"] * 2, ACCESS)
    assert isinstance(failed, MemoryError)
    assert content == b"local"
