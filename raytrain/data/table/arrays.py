"""Opening .npy files: the header is checked against the file before anything is mapped, and nothing is unpickled."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from raytrain.errors import DataError, Problem
from raytrain.files import open_regular

_SAVE_FIX = "Save it again as a plain float16 or float32 array with np.save(..., allow_pickle=False)."
_NUMBERS = "biuf"


def open_array(path: Path) -> np.ndarray:
    """A memory-mapped .npy file of numbers.

    Raises:
        DataError: the file is missing, no regular file, no .npy file, of another length than its header says, or an
            array of Python objects, records or texts.
    """
    try:
        with open_regular(path) as file:
            shape, fortran_order, dtype = _header(file)
            start, length = file.tell(), file.seek(0, 2)
    except FileNotFoundError:
        raise DataError(Problem(str(path), None, "not found", "Encode or build the table again.")) from None
    except OSError as error:
        fix = "Put the file there, or grant yourself read permission."
        raise DataError(Problem(str(path), None, f"not readable: {error.strerror or error}", fix)) from None
    except Exception as error:  # a damaged header makes numpy raise errors of many types: SyntaxError, TokenError, ...
        what = f"no .npy header: {error or type(error).__name__}"
        raise DataError(Problem(str(path), None, what, _SAVE_FIX)) from None
    if fault := _fault(shape, dtype, length - start):
        raise DataError(Problem(str(path), None, fault, _SAVE_FIX))
    order: Literal["C", "F"] = "F" if fortran_order else "C"
    if 0 in shape:  # which cannot be mapped
        return np.empty(shape, dtype, order)
    try:
        rows: np.ndarray = np.memmap(path, dtype, "r", start, shape, order)
    except (OSError, ValueError) as error:
        raise DataError(Problem(str(path), None, f"not readable: {error}", _SAVE_FIX)) from None
    return rows


def _header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """(shape, whether in Fortran order, type) of a .npy file, which is left at its first number."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise ValueError(f"version {version[0]}.{version[1]} of the format, this reads 1.0 and 2.0")


def _fault(shape: tuple[int, ...], dtype: np.dtype[Any], length: int) -> str | None:
    """What is wrong with an array whose numbers take `length` bytes; None where nothing is."""
    if dtype.hasobject:
        return "an array of Python objects, which only pickle can read"
    if dtype.kind not in _NUMBERS:
        return f"an array of {dtype}, expected numbers"
    if any(type(size) is not int or size < 0 for size in shape):
        return f"its header gives the shape {shape}, which no array has"
    expected = math.prod(shape) * dtype.itemsize
    if length < expected:
        return f"cut off: {length:,} bytes of numbers, {shape} of {dtype} take {expected:,}"
    if length > expected:
        return f"{length - expected:,} bytes too long for {shape} of {dtype}: its header is of another array"
    return None
