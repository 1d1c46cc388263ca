"""Text files: their encoding, and their lines.

The encoding is the one that the user names, else the one that a byte order mark or the zeros of UTF-16 show, else
UTF-8. No other encoding is guessed: a wrong guess would turn letters into other letters without an error. `readings`
shows people what a line says in each likely encoding.
"""

from __future__ import annotations

import codecs
import io
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from raytrain.data.paths import open_binary
from raytrain.data.problems import Problems
from raytrain.errors import DataError, Problem, UsageError

MAX_LINE_BYTES = 64 * 2**20
_AGAIN = "Get the file again, or write it again."
_NO_UTF_8 = "Save the file as UTF-8, or name its encoding with encoding=NAME, such as encoding=cp1252."
_HEAD_BYTES = 64 * 1024
_MARKS = (  # UTF-32's first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"), (codecs.BOM_UTF8, "utf-8-sig"),
)  # fmt: skip
WESTERN = (
    "cp1252"  # Windows' encoding of western Europe and the Americas; latin-1 is the same but for control characters
)
_FREQUENT = {"gb18030": (0xA1, 0xD7), "big5": (0xA1, 0xC6), "shift_jis": (0x81, 0x97), "euc_kr": (0xA1, 0xC8)}
"""First bytes of marks and frequent characters in simplified and traditional Chinese, Japanese and Korean encodings."""
_SEVERAL_BYTES = tuple(_FREQUENT)


def check_encoding(name: str) -> None:
    """Raises UsageError for a name that is no text encoding of Python."""
    try:
        "".encode(name or "utf-8")
    except LookupError:  # of unknown names, and of codecs that are no text encodings
        raise UsageError(f"no encoding {name!r}; common ones are utf-8, utf-16, cp1252, latin-1, gb18030") from None


def encoding_of(path: Path) -> str:
    """The encoding that the first bytes of a file show: of a byte order mark, of UTF-16's zeros, or else "utf-8".

    Raises:
        DataError: the file cannot be read.
    """
    head = head_of(path)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    pairs, even, odd = len(head) // 2, head[0::2].count(0), head[1::2].count(0)
    if even + odd > 0.4 * pairs and not (even and odd):  # every ASCII letter, blank and comma has a zero
        return "utf-16-be" if even else "utf-16-le"
    return "utf-8"


def head_of(path: Path) -> bytes:
    """The first 64 KiB of a file; DataError if it cannot be read."""
    with open_binary(path) as file:
        try:
            return file.read(_HEAD_BYTES)
        except OSError as error:
            raise DataError(Problem(str(path), None, f"not readable: {error}", _AGAIN)) from None


def text_lines(path: Path, problems: Problems, encoding: str = "") -> Iterator[tuple[int, str]]:
    """(line number from 1, text with its line end) of a text file; lines in another encoding are added to problems.

    Args:
        path: of the file.
        problems: receives the lines that are not in the encoding.
        encoding: by default that of `encoding_of`.

    Raises:
        DataError: the file cannot be read, or a line is longer than MAX_LINE_BYTES.
    """
    encoding = encoding or encoding_of(path)
    head = head_of(path)
    try:
        with open_binary(path) as file:
            if encoding.startswith(("utf-16", "utf-32")):
                yield from _decoded_lines(path, io.TextIOWrapper(file, encoding=encoding, newline="\n"), encoding)
            elif b"\r" in head and b"\n" not in head:  # as old Macs, and Excel's "CSV (Macintosh)", end lines
                yield from _decoded_lines(path, io.TextIOWrapper(file, encoding=encoding, newline="\r"), encoding)
            else:
                yield from _byte_lines(path, file, encoding, problems)
    except OSError as error:
        raise DataError(Problem(str(path), None, f"not readable: {error}", _AGAIN)) from None


def _byte_lines(path: Path, file: BinaryIO, encoding: str, problems: Problems) -> Iterator[tuple[int, str]]:
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        _check_length(path, number, len(line))
        line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        try:
            text = line.decode(encoding)
        except UnicodeDecodeError:
            word = "UTF-8" if encoding.startswith("utf-8") else encoding
            problems.add(f"utf-8 {path}", Problem(str(path), number, f"not {word}", _NO_UTF_8))
            continue
        yield number, text


def _decoded_lines(path: Path, file: io.TextIOWrapper, encoding: str) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            _check_length(path, number, len(line))
            if number == 1:
                line = line.removeprefix("\ufeff")
            yield number, line.removesuffix("\r") + "\n" if line.endswith("\r") else line
    except UnicodeError as error:
        what = f"not {encoding} from here on: {error}"
        raise DataError(Problem(str(path), number + 1, what, _NO_UTF_8)) from None


def _check_length(path: Path, number: int, length: int) -> None:
    if length > MAX_LINE_BYTES:
        raise DataError(Problem(str(path), number, f"a line of more than {MAX_LINE_BYTES:,} bytes", _AGAIN))


def readings(path: Path) -> dict[str, str]:
    """{encoding: the first line that is not UTF-8, read in it} for the likely encodings, the likeliest first.

    {} for a file in UTF-8 or UTF-16. There is one entry where the choice is clear: Asian encodings of several bytes
    read almost no western text without an error, and single letters above ASCII between ASCII ones are western.
    """
    with open_binary(path) as file:
        data = file.read(MAX_LINE_BYTES)
    if encoding_of(path) != "utf-8":
        return {}
    odd_lines = [line for line in data.split(b"\n") if not _reads(line, "utf-8")]
    if not odd_lines:
        return {}
    odd_text = b"\n".join(odd_lines)
    asian = [name for name in _SEVERAL_BYTES if _reads(odd_text, name) and _is_asian(odd_text.decode(name))]
    likely = [name for name in asian if _is_common(odd_text.decode(name), name)]
    if len(likely) == 1:
        names = likely
    elif asian:
        names = asian
    elif _reads(odd_text, WESTERN) and _is_western(odd_text.decode(WESTERN)):
        names = [WESTERN]
    else:
        names = [name for name in (WESTERN, "latin-1", "cp1251", "cp1250", "mac_roman") if _reads(odd_text, name)]
    return {name: odd_lines[0].decode(name).strip()[:60] for name in names}


def _reads(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _is_asian(text: str) -> bool:
    """Whether nearly all characters above ASCII are Chinese, Japanese or Korean, and few stand inside Latin words."""
    high = [character for character in text if character > "\x7f"]
    if len(re.findall(r"[A-Za-z](?=[^\x00-\x7f])|(?<=[^\x00-\x7f])[A-Za-z]", text)) > 0.3 * len(high):
        return False
    kinds = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "IDEOGRAPHIC", "FULLWIDTH")
    return sum(unicodedata.name(character, "").startswith(kinds) for character in high) > 0.95 * len(high)


def _is_common(text: str, encoding: str) -> bool:
    """Whether nearly all characters above ASCII are the frequent ones that an encoding has in its first block."""
    high = [character for character in text if character > "\x7f"]
    common = sum(
        _FREQUENT[encoding][0] <= _first_byte(character, encoding) <= _FREQUENT[encoding][1] for character in high
    )
    return common > 0.95 * len(high)


def _first_byte(character: str, encoding: str) -> int:
    return character.encode("gb2312" if encoding == "gb18030" else encoding, "replace")[0]


def _is_western(text: str) -> bool:
    """Whether letters above ASCII are fewer than the ASCII letters of their words, as in French, German or Spanish."""
    words = [word for word in text.split() if any(letter > "\x7f" and letter.isalpha() for letter in word)]
    high = sum(letter > "\x7f" for word in words for letter in word)
    return high <= 0.5 * sum(map(len, words))
