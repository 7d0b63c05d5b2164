"""What tests of the commands share."""

from __future__ import annotations

from typing import Any, BinaryIO

import pytest
from matplotlib.figure import Figure


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no plot drawn, which takes a second, where a report is about something else."""

    def savefig(figure: Figure, file: BinaryIO, **options: Any) -> None:
        file.write(b"<svg/>")

    monkeypatch.setattr(Figure, "savefig", savefig)
