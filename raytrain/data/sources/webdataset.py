"""WebDataset shards: tar files of samples, whose members share their name up to the first dot.

    train-000000.tar     000000.jpg  000000.txt  000000.json    000001.jpg  000001.txt ...
    val/000000.tar       ...

Captions are a sample's .txt (or .caption, .text) members, else those in its .json (under `caption`, `captions` or
`text`). Shards are read sequentially, with one sample in memory at a time; the members of a sample follow each other.
Keys are unique within a shard; where shards repeat them, an image's id is `shard/key`. Images are written to the
table's own images/, byte for byte, once their format is checked, under names made of their content. Members of other
types, and what a Mac leaves in an archive (._0001.jpg), are not read; table.json counts them.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from raytrain.data.annotations.columns import texts_of
from raytrain.data.annotations.grouping import write_records
from raytrain.data.annotations.layouts import MARKED, Layout
from raytrain.data.annotations.records import Record, Shares, SourceLocation, split_in, split_of, with_split
from raytrain.data.images import IMAGE_SUFFIXES, MAX_IMAGE_BYTES
from raytrain.data.paths import check_relative, files_below, is_litter, need_folder, open_binary
from raytrain.data.problems import Problems
from raytrain.data.table import Table
from raytrain.errors import DataError, Problem

MAX_MEMBERS = 5_000_000  # per shard
MAX_TEXT_BYTES = 16 * 2**20
_FIX = "Get the shard again, or write it again."
_JSON_KEYS = ("caption", "captions", "text")
_TEXT_SUFFIXES = (".txt", ".caption", ".text", ".cap")
_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


@dataclass
class _Sample:
    """One sample of a shard.

    Args:
        key: name of its members up to the first dot, with folders.
        place: its first member.
        images: (member name, bytes) pairs.
        texts: contents of the .txt members.
        facts: content of the .json member.
    """

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
    """Builds the table of all shards below root, with the images copied into it; an image's id is its sample's key.

    Args:
        root: folder of *.tar.
        out: folder of the new table.
        text: key of the captions in the samples' JSON; default the .txt members, else `caption`, `captions` or `text`.
        lines: whether each line of a .txt member is a caption; by default the whole member is one.
        val, test: shares of the images to draw for these splits, by a hash of each image, if neither folders nor shard
            names state a split.
        allow_missing: share of the images, and of the captions, in [0, 1] that may be unusable.

    Raises:
        DataError: all problems of the shards at once.
        UsageError: an option outside its range.
    """
    folder, problems, shares = Path(root).expanduser().resolve(), Problems(), Shares(val, test, allow_missing)
    paths = shards(folder)
    ignored: Counter[str] = Counter()
    members: Counter[str] = Counter()
    facts = {"name": "webdataset", "shards": len(paths), "text": text, "ignored_members": ignored, "members": members}

    def records() -> Iterator[Record]:
        for path in paths:
            stated = _stated(folder, path)
            for sample in samples(path, problems, ignored):
                several = [content for content in sample.texts if len(content.strip().splitlines()) > 1]
                if several and not lines and not text:
                    members["texts_of_several_lines"] += len(several)
                record = _record(sample, text, lines, problems)
                if record is not None:
                    scope = path.relative_to(folder).with_suffix("").as_posix()
                    yield with_split(replace(record, scope=scope), stated)

    return write_records(out, facts, records(), shares, problems, None)


def shards(folder: Path) -> list[Path]:
    """The *.tar files below a folder, sorted.

    Raises:
        DataError: the folder does not exist, or there is none.
    """
    need_folder(folder, "folder of the shards")
    files = sorted(path for path in files_below(folder) if path.is_file())
    paths = [path for path in files if path.suffix == ".tar"]
    compressed = [path for path in files if path.name.lower().endswith(_COMPRESSED)]
    if compressed and not paths:
        what = f"{compressed[0].name} is compressed"
        raise DataError(
            Problem(str(folder), None, what, "Decompress the shards to .tar: images are compressed already.")
        )
    if not paths:
        raise DataError(Problem(str(folder), None, "no *.tar in or below it", "Put the shards there, uncompressed."))
    return paths


def samples(path: Path, problems: Problems, ignored: Counter[str]) -> Iterator[_Sample]:
    """The samples of one shard; rows count its members from 0.

    Args:
        path: of the shard.
        problems: receives members that are not plain files, have unsafe names, are too large or not readable.
        ignored: counts members of other types by suffix.

    Raises:
        DataError: the shard is broken or truncated; the samples before that place have been yielded.
    """
    sample: _Sample | None = None
    seen: set[str] = set()
    for row, name, content in _members(path, problems, ignored):
        key, suffix = _split_name(name)
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample
            sample = _Sample(key, SourceLocation(str(path), row))
            if key in seen:
                what = f"member {name[:80]!r} belongs to {key[:80]!r}, whose other members do not precede it directly"
                fix = "Write the shard with its members sorted by name (tar --sort=name)."
                problems.add(f"apart {path}", Problem(str(path), row, what, fix))
            seen.add(key)
        if suffix.endswith(IMAGE_SUFFIXES):
            sample.images.append((name, content))
            continue
        try:
            text = content.decode("utf-8")
            if suffix.endswith(_TEXT_SUFFIXES):
                sample.texts.append(text)
                continue
            facts = json.loads(text)
            if "\\ud" in text.lower():  # an escaped half of a surrogate pair cannot be encoded later
                json.dumps(facts, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            problems.add("text", Problem(str(path), row, f"member {name!r}: not readable: {error}", _FIX))
            continue
        sample.facts = facts if isinstance(facts, dict) else {"captions": facts}
    if sample is not None:
        yield sample


def _members(path: Path, problems: Problems, ignored: Counter[str]) -> Iterator[tuple[int, str, bytes]]:
    """(row, name, content) of the images, texts and JSON of a shard."""
    with open_binary(path) as file:
        try:
            archive = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115
        except Exception as error:  # a damaged header makes tarfile raise errors of many types
            raise DataError(Problem(str(path), None, f"not a tar file: {error}", _FIX)) from None
        row, before = 0, -1
        while True:
            place = SourceLocation(str(path), row)
            try:
                member = archive.next()
                if archive.offset <= before and member is not None:  # a negative size would make an endless loop
                    raise DataError(place.problem("a member that ends before it begins", _FIX))
                before = archive.offset
                vars(archive)["members"].clear()  # tarfile would keep all members in memory
                if member is None:
                    break
                if row >= MAX_MEMBERS:
                    raise DataError(place.problem(f"more than {MAX_MEMBERS:,} members", "Split the shard."))
                content = _content(archive, member, place, problems, ignored)
            except DataError:
                raise
            except Exception as error:
                raise DataError(place.problem(f"broken from here on: {error}", _FIX)) from None
            if content is not None:
                yield row, str(PurePosixPath(member.name)), content
            row += 1
        # tarfile ends silently where there is no valid header; a complete archive ends with blocks of zeros
        file.seek(archive.offset)
        end = file.read(2 * tarfile.BLOCKSIZE)
        if len(end) < tarfile.BLOCKSIZE or any(end):
            what = "truncated: no end mark" if not any(end) else "broken from here on: no tar header"
            raise DataError(Problem(str(path), row, what, _FIX))


def _content(
    archive: tarfile.TarFile,
    member: tarfile.TarInfo,
    place: SourceLocation,
    problems: Problems,
    ignored: Counter[str],
) -> bytes | None:
    """A member's bytes; None for a folder, for a type that is not read, and after adding a problem."""
    name = f"member {member.name[:80]!r}"
    try:
        check_relative(member.name)
    except DataError as error:
        if not (member.isdir() and member.name in ("", ".", "./")):
            problems.add("name", place.problem(f"{name}: {error.problems[0].what}", _FIX))
        return None
    if member.isdir():
        return None
    if is_litter(member.name):
        ignored["litter"] += 1
        return None
    if not member.isreg() or member.issparse():
        problems.add("kind", place.problem(f"{name}: a link, device or sparse file; only plain files are read", _FIX))
        return None
    suffix = _split_name(member.name)[1]
    if not suffix.endswith((*IMAGE_SUFFIXES, *_TEXT_SUFFIXES, ".json")):
        ignored[suffix or PurePosixPath(member.name).name] += 1
        return None
    limit = MAX_IMAGE_BYTES if suffix.endswith(IMAGE_SUFFIXES) else MAX_TEXT_BYTES
    if member.size > limit:
        problems.add("size", place.problem(f"{name}: {member.size:,} bytes, at most {limit:,} allowed", _FIX))
        return None
    file = archive.extractfile(member)
    content = b"" if file is None else file.read()
    if len(content) != member.size:
        raise DataError(place.problem(f"{name} is truncated", _FIX))
    return content


def _split_name(name: str) -> tuple[str, str]:
    """(key, lower-cased suffix): "a/0001.left.jpg" -> ("a/0001", ".left.jpg")."""
    folder, _, base = name.rpartition("/")
    stem, dot, rest = base.partition(".")
    return f"{folder}/{stem}" if folder else stem, (dot + rest).lower()


def _record(sample: _Sample, key: str, lines: bool, problems: Problems) -> Record | None:
    """The record of a sample; None after adding its problems. `key` and `lines` are the options text and lines."""
    before = len(problems)
    place = sample.place
    if len(sample.images) > 1:
        names = " and ".join(repr(name[:80]) for name, _ in sample.images[:2])
        problems.add("images", place.problem(f"sample with two images: {names}", "Keep one."))
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
    """The split that a shard's folders or its name state, as written; "" if none does."""
    folders = path.relative_to(root).parts[:-1]
    return next((part for part in folders if split_of(part)), "") or split_in(path.stem)


def looks_like(root: Path) -> Layout | None:
    """The layout of a folder with *.tar in or below it; None for another folder."""
    try:
        paths = shards(root)
    except DataError as error:
        is_compressed = "is compressed" in error.problems[0].what
        return Layout([], [f"{error.problems[0].what}: {error.problems[0].fix}"], {}, MARKED) if is_compressed else None
    stated = [_stated(root, path) for path in paths]
    splits = {split_of(name) for name in stated}
    options = {} if "val" in splits else {"val": 0.1} if "test" in splits else {"val": 0.1, "test": 0.1}
    descriptions = [f"{len(paths)} shard{'s' if len(paths) > 1 else ''}, first {paths[0].relative_to(root)}"]
    suffixes: Counter[str] = Counter()
    line_counts: list[int] = []
    try:
        for _, name, content in islice(_members(paths[0], Problems(), suffixes), 30):
            suffixes[_split_name(name)[1]] += 1
            if _split_name(name)[1].endswith(_TEXT_SUFFIXES):
                line_counts.append(len(content.split(b"\n")) - content.endswith(b"\n"))
    except DataError as error:
        return Layout(descriptions, [str(error.problems[0])], options, MARKED)
    descriptions.append(f"members {', '.join(sorted(suffixes))}")
    if line_counts and min(line_counts) > 1:
        descriptions.append(f"texts of {min(line_counts)} to {max(line_counts)} lines, taken for a caption each")
        options["lines"] = True
    needed = {"an image member": IMAGE_SUFFIXES, "a .txt or .json member": (*_TEXT_SUFFIXES, ".json")}
    missing = [what for what, allowed in needed.items() if not any(name.endswith(allowed) for name in suffixes)]
    return Layout(descriptions, missing, options, MARKED)
