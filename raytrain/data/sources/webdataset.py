"""WebDataset shards: tar files of samples, whose members share the name up to its first dot.

    train-000000.tar     000000.jpg  000000.txt  000000.json    000001.jpg  000001.txt ...
    val/000000.tar       ...

Captions are a sample's .txt members, else those of its .json (under `caption`, `captions` or `text`). Shards are read
from their beginning to their end, one sample in memory at a time. Pictures are written to the table's own images/, byte
for byte, once their format is checked, under names that come from their content. Members of other kinds are never
opened; table.json counts them.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from raytrain.data.annotations.columns import texts_of
from raytrain.data.annotations.grouping import write_records
from raytrain.data.annotations.layouts import MARKED, Layout
from raytrain.data.annotations.records import Record, Shares, SourceLocation, split_in, split_of, with_split
from raytrain.data.images import IMAGE_SUFFIXES, MAX_IMAGE_BYTES
from raytrain.data.paths import check_relative, open_binary
from raytrain.data.problems import Problems
from raytrain.data.table import Table
from raytrain.errors import DataError, Problem

MAX_MEMBERS = 5_000_000  # a shard
MAX_TEXT_BYTES = 16 * 2**20
_AGAIN = "Get the shard again, or write it again."
_JSON_KEYS = ("caption", "captions", "text")


@dataclass
class _Sample:
    key: str
    place: SourceLocation
    images: list[tuple[str, bytes]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def build(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    text: str = "",
    lines: bool = False,
    val: float = 0.0,
    test: float = 0.0,
    allow_missing: float = 0.0,
) -> Table:
    """The table of all shards below root, with its images shipped in it; an image is called after its sample's key.

    Args:
        root: folder of *.tar.
        out: folder of the new table.
        text: key of the captions in the samples' JSON; default the .txt members, else `caption`, `captions` or `text`.
        lines: each line of a .txt member is a caption; default the whole member is one.
        val, test: shares to draw by a hash of each image, where neither folder nor shard name states a split.
        allow_missing: share of the images, and of the captions, in [0, 1] that may be unusable.

    Raises:
        DataError: every problem of the shards at once.
    """
    folder, problems, shares = Path(root).expanduser().resolve(), Problems(), Shares(val, test, allow_missing)
    paths = shards(folder)
    ignored: Counter[str] = Counter()

    def records() -> Iterator[Record]:
        for path in paths:
            stated = _stated(folder, path)
            for sample in samples(path, problems, ignored):
                record = _record(sample, text, lines, problems)
                if record is not None:
                    yield with_split(record, stated)

    source: dict[str, Any] = {"name": "webdataset", "shards": len(paths), "text": text, "ignored_members": ignored}
    return write_records(out, source, records(), shares, problems, None)


def shards(folder: Path) -> list[Path]:
    """The *.tar files below a folder, in order.

    Raises:
        DataError: no folder, or none there.
    """
    if not folder.is_dir():
        raise DataError(Problem(str(folder), None, "not a folder", "Name the folder of the shards with --root."))
    paths = sorted(path for path in folder.rglob("*.tar") if path.is_file())
    if not paths:
        raise DataError(Problem(str(folder), None, "no *.tar in it or below", "Put the shards there, uncompressed."))
    return paths


def samples(path: Path, problems: Problems, ignored: Counter[str]) -> Iterator[_Sample]:
    """The samples of one shard; rows count its members from 0.

    Args:
        problems: receives members that are no plain files, have unsafe names or are too large.
        ignored: counts members of other kinds by suffix.

    Raises:
        DataError: the shard is broken or cut off; samples before that place have been given.
    """
    sample: _Sample | None = None
    for row, name, content in _members(path, problems, ignored):
        key, suffix = _split_name(name)
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample
            sample = _Sample(key, SourceLocation(str(path), row))
        if suffix.endswith(IMAGE_SUFFIXES):
            sample.images.append((name, content))
            continue
        try:
            text = content.decode("utf-8")
            if suffix.endswith(".txt"):
                sample.texts.append(text)
                continue
            facts = json.loads(text)
            if "\\ud" in text.lower():  # half of a surrogate pair, written as an escape, is no text
                json.dumps(facts, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            problems.add("text", Problem(str(path), row, f"member {name!r}: not readable: {error}", _AGAIN))
            continue
        sample.facts = facts if isinstance(facts, dict) else {"captions": facts}
    if sample is not None:
        yield sample


def _members(path: Path, problems: Problems, ignored: Counter[str]) -> Iterator[tuple[int, str, bytes]]:
    """(row, name, content) of the members that are read."""
    with open_binary(path) as file:
        try:
            archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115
        except Exception as error:  # tarfile raises whatever a header makes it trip over
            raise DataError(Problem(str(path), None, f"no tar file: {error}", _AGAIN)) from None
        row, before = 0, -1
        while True:
            try:
                member = archive.next()
                if archive.offset <= before and member is not None:  # a negative size would lead round in circles
                    raise DataError(Problem(str(path), row, "a member that ends before it begins", _AGAIN))
                before = archive.offset
                vars(archive)["members"].clear()  # it would remember every one
                if member is None:
                    break
                if row >= MAX_MEMBERS:
                    raise DataError(Problem(str(path), row, f"more than {MAX_MEMBERS:,} members", "Cut the shard."))
                content = _content(archive, member, path, row, problems, ignored)
            except DataError:
                raise
            except Exception as error:
                raise DataError(Problem(str(path), row, f"broken from here on: {error}", _AGAIN)) from None
            if content is not None:
                yield row, member.name, content
            row += 1
        # tarfile stops without a word at what is no header; a whole archive ends with blocks of zeros
        file.seek(archive.offset)
        end = file.read(2 * tarfile.BLOCKSIZE)
        if len(end) < tarfile.BLOCKSIZE or any(end):
            what = "cut off: no end mark" if not any(end) else "broken from here on: no tar header"
            raise DataError(Problem(str(path), row, what, _AGAIN))


def _content(
    archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, row: int, problems: Problems, ignored: Counter[str]
) -> bytes | None:
    """A member's bytes; None of a folder, of a kind that is not read, and after adding a problem."""

    def bad(kind: str, what: str) -> None:
        problems.add(kind, Problem(str(path), row, f"member {member.name[:80]!r}: {what}", _AGAIN))

    try:
        check_relative(member.name)
    except DataError as error:
        if not (member.isdir() and member.name in ("", ".", "./")):
            bad("name", error.problems[0].what)
        return None
    if member.isdir():
        return None
    if not member.isreg() or member.issparse():
        bad("kind", "a link, device or sparse file, only plain files are read")
        return None
    suffix = _split_name(member.name)[1]
    if not suffix.endswith((*IMAGE_SUFFIXES, ".txt", ".json")):
        ignored[suffix or PurePosixPath(member.name).name] += 1
        return None
    limit = MAX_IMAGE_BYTES if suffix.endswith(IMAGE_SUFFIXES) else MAX_TEXT_BYTES
    if member.size > limit:
        bad("size", f"{member.size:,} bytes, at most {limit:,} allowed")
        return None
    file = archive.extractfile(member)
    content = b"" if file is None else file.read()
    if len(content) != member.size:
        raise DataError(Problem(str(path), row, f"member {member.name[:80]!r} is cut off", _AGAIN))
    return content


def _split_name(name: str) -> tuple[str, str]:
    """(key, lower-cased suffix): "a/0001.left.jpg" -> ("a/0001", ".left.jpg")."""
    folder, _, base = name.rpartition("/")
    stem, dot, rest = base.partition(".")
    return f"{folder}/{stem}" if folder else stem, (dot + rest).lower()


def _record(sample: _Sample, key: str, lines: bool, problems: Problems) -> Record | None:
    before = len(problems)
    place = sample.place
    if len(sample.images) > 1:
        names = " and ".join(repr(name[:80]) for name, _ in sample.images[:2])
        problems.add("images", Problem(place.file, place.row, f"sample with two images: {names}", "Keep one."))
    texts = [line for text in sample.texts for line in (text.splitlines() if lines else [text])]
    if lines:
        texts = [text for text in texts if text.strip()] or texts[:1]
    if key or not sample.texts:
        json_key = key or next((name for name in _JSON_KEYS if name in sample.facts), "")
        texts = texts_of(sample.facts.get(json_key), json_key or "caption", place, problems)
    name, data = sample.images[0] if sample.images else ("", None)
    facts = {name: sample.facts[name] for name in ("split", "group") if isinstance(sample.facts.get(name), str)}
    return Record(place, texts, name, data, sample.key, **facts) if len(problems) == before else None


def _stated(root: Path, path: Path) -> str:
    folders = path.relative_to(root).parts[:-1]
    return next((part for part in folders if split_of(part)), "") or split_in(path.stem)


def looks_like(root: Path) -> Layout | None:
    try:
        paths = shards(root)
    except DataError:
        return None
    stated = [_stated(root, path) for path in paths]
    options = {} if len({split_of(name) for name in stated} - {None}) > 1 else {"val": "0.1", "test": "0.1"}
    descriptions = [f"{len(paths)} shard{'s' if len(paths) > 1 else ''}, first {paths[0].relative_to(root)}"]
    suffixes: Counter[str] = Counter()
    try:
        for _, name, _ in islice(_members(paths[0], Problems(), suffixes), 30):
            suffixes[_split_name(name)[1]] += 1
    except DataError as error:
        return Layout(descriptions, [str(error.problems[0])], options, MARKED)
    descriptions.append(f"members {', '.join(sorted(suffixes))}")
    kinds = {"an image member": IMAGE_SUFFIXES, "a .txt or .json member": (".txt", ".json")}
    missing = [what for what, allowed in kinds.items() if not any(name.endswith(allowed) for name in suffixes)]
    return Layout(descriptions, missing, options, MARKED)
