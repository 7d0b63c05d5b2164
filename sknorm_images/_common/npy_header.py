"""The header of an ``.npy`` file, for arrays that are written piece by piece."""

from __future__ import annotations

from typing import IO, Any

import numpy as np
from numpy.lib import format as npy


def write_header(file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Write the header that precedes the numbers of an array in C order."""
    header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(file, header)
