"""MATLAB files of level 5 (versions 5 to 7) with a column or matrix of numbers, read strictly.

scipy reads far more kinds of them, but damaged bytes make its parser end the whole process (seen with scipy 1.17, by
overwriting a few bytes of what it wrote itself), so it is used to write fixtures only.

Source: MAT-File Format, The MathWorks, level 5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError, is_infrastructure

HEADER = 128
BYTE_ORDERS = {b"IM": "<", b"MI": ">"}
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Storage types by number. Doubles that are whole are often stored as something smaller."""
MATRIX, COMPRESSED = 14, 15
NUMERIC = ("double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
CLASSES = ("?", "cell", "struct", "object", "char", "sparse", *NUMERIC, "function", "opaque")
COMPLEX = 0x0800


@dataclass(frozen=True)
class _Variable:
    name: str
    kind: str
    shape: tuple[int, ...]
    values: NDArray[np.float64] | None

    def __str__(self) -> str:
        return f"{self.name}, {self.kind} {list(self.shape)}"


class _Damaged(Exception):
    """The bytes are not what the format says."""


def column_of(file: Path, name: str, most_bytes: int) -> NDArray[np.float64]:
    """The variable `name`, an array of n > 0 rows and one column, as float64 [n].

    Raises `DataError` for another kind of file or variable, or where the file has, or unpacks to, more than
    `most_bytes`. The file must be known to lie inside the copy.
    """
    variables = _variables(_content(file, most_bytes), file, most_bytes)
    for variable in variables:
        if variable.name == name and variable.values is not None and variable.shape == (len(variable.values), 1):
            return variable.values
    raise DataError(f"{file}: expected a variable {name}, numbers [n, 1]; found {_told(variables)}")


def matrix_of(content: bytes, shape: tuple[int, int], file: Path, most_bytes: int) -> NDArray[np.float64]:
    """The one matrix of numbers of this shape in `content`, as float64 [rows, columns], whatever its name.

    Raises `DataError`, naming `file`, for another kind of content, where none or several have the shape, or where it
    unpacks to more than `most_bytes`.
    """
    variables = _variables(content, file, most_bytes)
    found = [variable.values for variable in variables if variable.shape == shape and variable.values is not None]
    if len(found) != 1:
        raise DataError(
            f"{file}: expected one matrix of {shape[0]} x {shape[1]} numbers, found {_told(variables)}",
            hint="get this file anew",
        )
    return found[0].reshape(shape, order="F")


def _variables(content: bytes, file: Path, most_bytes: int) -> list[_Variable]:
    order = BYTE_ORDERS.get(content[126:HEADER])
    if order is None:
        raise DataError(f"{file} is not a MATLAB file of versions 5 to 7", hint="get this file anew")
    (version,) = struct.unpack_from(f"{order}H", content, 124)
    if version != 0x0100:
        raise DataError(
            f"{file} is a MATLAB file of version 7.3 (HDF5) or unknown, expected 5 to 7",
            hint="get the official file anew, or save it with `-v7`",
        )
    try:
        return [_variable(matrix, order) for matrix in _matrices(content[HEADER:], order, most_bytes)]
    except (_Damaged, zlib.error, struct.error) as error:
        raise DataError(f"{file} is damaged: {error}", hint="get this file anew") from error


def _told(variables: Sequence[_Variable]) -> str:
    return "; ".join(map(str, variables[:6])) or "no variables"


def _content(file: Path, most_bytes: int) -> bytes:
    try:
        with file.open("rb") as stream:
            content = stream.read(most_bytes + 1)
    except OSError as error:
        if is_infrastructure(error):
            raise
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    if len(content) > most_bytes:
        raise DataError(f"{file} has more than {most_bytes} bytes, too large for what it should hold")
    return content


def _matrices(content: bytes, order: str, most_bytes: int) -> Iterator[bytes]:
    """What the elements of type matrix hold, unpacked."""
    for kind, data in _elements(content, order):
        if kind == COMPRESSED:
            unpacker = zlib.decompressobj()
            unpacked = unpacker.decompress(data, most_bytes)
            if not unpacker.eof:
                raise _Damaged("a variable is cut off, or unpacks to too much")
            yield from (inner for of, inner in _elements(unpacked, order) if of == MATRIX)
        elif kind == MATRIX:
            yield data


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Types of the data elements and what they hold."""
    place = 0
    while place < len(content):
        kind, size = struct.unpack_from(f"{order}II", content, place)
        start = place + 8
        if kind >> 16:  # a small element: size and type share a word, up to four bytes follow
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
            if size > 4:
                raise _Damaged(f"an element at byte {place} has an impossible tag")
        if start + size > len(content):
            raise _Damaged(f"an element at byte {place} is cut off")
        yield kind, content[start : start + size]
        place = start + size
        if kind != COMPRESSED:
            place += -place % 8


def _variable(matrix: bytes, order: str) -> _Variable:
    """Flags, shape, name and numbers of a matrix element."""
    parts = list(_elements(matrix, order))
    if len(parts) < 3:
        raise _Damaged("a variable without a shape or a name")
    flags, shape = _numbers(parts[0], order), _numbers(parts[1], order)
    name = parts[2][1].decode("ascii", "replace")
    if len(flags) != 2 or len(shape) < 2 or (shape < 0).any():
        raise _Damaged(f"the variable {name} has no proper flags or shape")
    bits, dimensions = int(flags[0]), tuple(int(size) for size in shape)
    kind = CLASSES[bits & 0xFF] if bits & 0xFF < len(CLASSES) else "?"
    if kind not in NUMERIC or bits & COMPLEX:
        return _Variable(name, "complex" if bits & COMPLEX else kind, dimensions, None)
    values = _numbers(parts[3], order) if len(parts) > 3 else np.zeros(0)
    if len(values) != prod(dimensions):
        raise _Damaged(f"the variable {name} has {len(values)} numbers, its shape is {list(dimensions)}")
    return _Variable(name, kind, dimensions, values.astype(np.float64) if len(values) else None)


def _numbers(part: tuple[int, bytes], order: str) -> NDArray[Any]:
    kind, data = part
    if kind not in NUMBERS:
        raise _Damaged(f"there are data of type {kind} where numbers should be")
    dtype = np.dtype(order + NUMBERS[kind])
    if len(data) % dtype.itemsize:
        raise _Damaged("a number is cut off")
    return np.frombuffer(data, dtype)
