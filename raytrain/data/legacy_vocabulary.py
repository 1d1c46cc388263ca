"""Conversion of pickled vocabularies (`vocab.pkl`) of published code, without running code from the pickle.

    {"word2idx": {"<pad>": 0, ...}, "idx2word": {...}, "idx": 11353}       as attributes of a class Vocabulary

A pickle is a program. The reader here allows only dicts, numbers, texts and an empty class of its own in the place of
`Vocabulary`: it checks all instructions by name before any is run, and refuses every other class or function.
"""

from __future__ import annotations

import copyreg
import io
import os
import pickle
import pickletools
from pathlib import Path
from typing import Any

from raytrain.data.load.words import Vocabulary
from raytrain.data.paths import open_binary
from raytrain.errors import DataError, Problem

MAX_BYTES = 64 * 2**20
_FIX = "It should be the vocab.pkl of VSE++ or its successors; else write the words as JSON with the code that made it."
_PLAIN = """
    PROTO FRAME MARK STOP POP POP_MARK DUP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1
    STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES
    EMPTY_DICT DICT SETITEM SETITEMS EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET GLOBAL STACK_GLOBAL INST OBJ NEWOBJ REDUCE BUILD
"""


class _Words:
    """Stands in for the published class; its attributes are those in the pickle."""


class _Reader(pickle.Unpickler):
    """An unpickler that finds `_Words` and the functions that make an object, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "Vocabulary":
            return _Words
        if name == "object" and module in ("builtins", "__builtin__"):
            return object
        if name == "_reconstructor" and module in ("copyreg", "copy_reg"):  # how protocols 0 and 1 make an object
            return copyreg._reconstructor  # type: ignore[attr-defined]
        raise pickle.UnpicklingError(f"needs {module}.{name}")


def read_pickled(path: str | os.PathLike[str]) -> Vocabulary:
    """The vocabulary in a `vocab.pkl`.

    Raises:
        DataError: the file is not a pickled vocabulary, or needs anything besides words and numbers.
    """
    file = Path(path)
    with open_binary(file) as source:
        data = source.read(MAX_BYTES + 1)
    try:
        if len(data) > MAX_BYTES:
            raise pickle.UnpicklingError(f"more than {MAX_BYTES:,} bytes")
        plain = set(_PLAIN.split())
        for instruction, argument, offset in pickletools.genops(data):
            if instruction.name not in plain:
                raise pickle.UnpicklingError(f"instruction {instruction.name} at byte {offset}")
            # the unpickler allocates memory for the highest number of a stored value
            if "PUT" in instruction.name and int(argument or 0) > len(data):
                raise pickle.UnpicklingError(f"value number {argument} in {len(data):,} bytes")
        vocabulary = _Reader(io.BytesIO(data), encoding="utf-8").load()
        fields = vocabulary if isinstance(vocabulary, dict) else vars(vocabulary)
        numbers = fields["word2idx"]
        if not isinstance(numbers, dict) or not all(
            isinstance(word, str) and type(number) is int for word, number in numbers.items()
        ):
            raise pickle.UnpicklingError("word2idx is not a dict of words and whole numbers")
    except Exception as error:  # a damaged pickle raises errors of many types
        what = f"not a pickled vocabulary: {type(error).__name__} {error}"[:300]
        raise DataError(Problem(str(file), None, what, _FIX)) from None
    return Vocabulary.from_json({"word2idx": numbers}, str(file))
