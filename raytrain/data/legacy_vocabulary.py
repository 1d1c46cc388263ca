"""Pickled vocabularies of the published code (`vocab.pkl`), read once to be written as JSON, without running them.

    {"word2idx": {"<pad>": 0, ...}, "idx2word": {...}, "idx": 11353}       as attributes of a class Vocabulary

A pickle is a program. This one may only make a dict, numbers, texts and an object of our own empty class in the place
of `Vocabulary`: its instructions are looked through first, by name and without running any, and whatever else it asks
for ends in an error.
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
    """In the place of the published class; has whatever attributes the pickle gives it."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name == "Vocabulary":
            return _Words
        if name == "object" and module in ("builtins", "__builtin__"):
            return object
        if name == "_reconstructor" and module in ("copyreg", "copy_reg"):  # how protocols 0 and 1 make an object
            return copyreg._reconstructor  # type: ignore[attr-defined]
        raise pickle.UnpicklingError(f"asks for {module}.{name}")


def read_pickled(path: str | os.PathLike[str]) -> Vocabulary:
    """The vocabulary of a `vocab.pkl`.

    Raises:
        DataError: a file that is none, or asks for anything beside words and numbers.
    """
    file = Path(path)
    with open_binary(file) as source:
        data = source.read(MAX_BYTES + 1)
    try:
        if len(data) > MAX_BYTES:
            raise pickle.UnpicklingError(f"more than {MAX_BYTES:,} bytes")
        plain = set(_PLAIN.split())
        for instruction, argument, place in pickletools.genops(data):
            if instruction.name not in plain:
                raise pickle.UnpicklingError(f"instruction {instruction.name} at byte {place}")
            # the reader makes room for as many values as the highest number says
            if "PUT" in instruction.name and int(argument or 0) > len(data):
                raise pickle.UnpicklingError(f"value number {argument} in {len(data):,} bytes")
        made = _Reader(io.BytesIO(data), encoding="utf-8").load()
        fields = made if isinstance(made, dict) else vars(made)
        numbers = fields["word2idx"]
        if not isinstance(numbers, dict) or not all(
            isinstance(word, str) and type(number) is int for word, number in numbers.items()
        ):
            raise pickle.UnpicklingError("word2idx is no dict of words and whole numbers")
    except Exception as error:  # a damaged pickle raises whatever it trips over
        what = f"no pickled vocabulary: {type(error).__name__} {error}"[:300]
        raise DataError(Problem(str(file), None, what, _FIX)) from None
    return Vocabulary.from_json({"word2idx": numbers}, str(file))
