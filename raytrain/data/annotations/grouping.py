"""Records grouped by image, and the table they make; shared by the sources of images and captions.

A source turns its files into `Record`s. `write_records` groups them by image, collects all problems, draws splits where
none are stated, copies images from archives into the table, and writes it. table.json counts what is left out: images
that are absent, broken or without a caption, empty captions and repeated ones.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from raytrain.data.annotations.items import Item, check_image_root, to_arrow
from raytrain.data.annotations.records import SPLIT_OF, Record, Shares, SourceLocation, split_of
from raytrain.data.images import IMAGE_SUFFIXES, MAX_IMAGE_BYTES, check_header
from raytrain.data.paths import PATH_FIX, contained
from raytrain.data.problems import Problems
from raytrain.data.storage import Presence, Root, Url
from raytrain.data.table import Table
from raytrain.data.table.coverage import Missing, exceeds
from raytrain.data.table.schema import SPLITS
from raytrain.data.table.writer import TableWriter
from raytrain.errors import DataError, Problem, UsageError

_ALLOW = "Correct it, or allow a share of such images with allow_missing=SHARE."
_FIX = "Correct the row."


@dataclass
class _Image:
    """An image while its records are grouped.

    Args:
        item: its row of the table.
        place: of its first record.
        captions: the captions of earlier records.
        digest: sha256 of its content, 64 hex digits; empty while it is not known.
        shipped: its bytes are written into the table, and item.file names them.
        fault: (kind, description) of what makes it unusable; ("", "") if nothing does.
    """

    item: Item
    place: SourceLocation
    captions: set[str] = field(default_factory=set)
    digest: str = ""
    shipped: bool = False
    fault: tuple[str, str] = ("", "")


def write_records(
    out: str | os.PathLike[str],
    source: Mapping[str, Any],
    records: Iterable[Record],
    shares: Shares,
    problems: Problems,
    image_root: Root | None,
) -> Table:
    """Writes the table of all records.

    Args:
        out: folder of the new table.
        source: name and options of the source, for table.json.
        records: iterated once.
        shares: of the images to draw for splits, and that may be missing.
        problems: of reading the records; nothing is written if there is any.
        image_root: what the records' files are relative to; None if every record contains its image, which is then
            copied into the table.

    Raises:
        DataError: all problems at once; nothing is left behind.
        UsageError: a split to draw is stated by records already.
    """
    if image_root is not None:
        check_image_root(image_root)
    with TableWriter(out, source, image_root="images" if image_root is None else image_root) as writer:
        groups = RecordGroups(problems, image_root, writer.path / "images", shares.allow_missing)
        try:
            for record in records:
                groups.add(record)
        except DataError as error:
            problems.extend(error.problems)
        writer.source |= groups.finish(shares)
        writer.missing = groups.missing
        writer.write(*to_arrow(groups.items))
    return Table(out)


class RecordGroups:
    """Records grouped by image.

    Args:
        problems: receives the problems of the records.
        image_root: as in `write_records`.
        shipped: folder that images from records are written to.
        allow_missing: share in [0, 1] of the images, and of the captions, that may be unusable.

    Attributes:
        items: after `finish`, the usable images in the order of their first records.
        missing: the other images.
    """

    def __init__(self, problems: Problems, image_root: Root | None, shipped: Path, allow_missing: float) -> None:
        self.problems, self.image_root, self.shipped = problems, image_root, shipped
        self.presence = None if image_root is None else Presence(image_root)
        self.images: dict[str, _Image] = {}
        self.counts: Counter[str] = Counter()
        self.empty = Problems()
        self.items: list[Item] = []
        self.missing = Missing(allow_missing)

    def add(self, record: Record) -> None:
        """Adds a record; its image, if it contains one, is checked and written."""
        self.counts["rows"] += 1
        if record.split and split_of(record.split) is None:
            what = f"split {record.split!r}, allowed are {', '.join(SPLIT_OF)}"
            self.problems.add("split", record.place.problem(what, _FIX))
            return
        digest = hashlib.sha256(record.data).hexdigest() if record.data is not None else ""
        file = str(PurePosixPath(record.file)) if record.file else ""
        identity = record.id or (file if record.data is None else "") or digest[:16]
        if not identity:
            identity = f"{PurePosixPath(record.place.file).name}#{record.place.row}"
        image = self.images.get(identity)
        if image is None:
            item = Item(identity, file, split_of(record.split) or "", [], record.group, record.attribution)
            image = self.images[identity] = _Image(item, record.place, digest=digest)
            self._check_or_ship(image, record)
        else:
            self._compare(image, record, file, digest)
        self._add_captions(image, record)

    def _compare(self, image: _Image, record: Record, file: str, digest: str) -> None:
        """Adds a problem if a further record of an image contradicts the first one."""
        first = f"row {image.place.row}"
        if image.digest != digest or (not digest and image.item.file != file):
            what = f"image id {image.item.id!r} has another image in {first}"
            self.problems.add("two images", record.place.problem(what, _FIX))
        for name, value in (("split", split_of(record.split) or ""), ("group", record.group)):
            before = getattr(image.item, name)
            if value != before:
                what = f"image {image.item.id!r} is of {name} {value!r} here and of {before!r} in {first}"
                self.problems.add(f"two {name}s", record.place.problem(what, _FIX))

    def _add_captions(self, image: _Image, record: Record) -> None:
        """Adds a record's captions except those of earlier records; repeats within the record stay.

        A record with a list of five captions keeps five, as its protocol counts them.
        """
        new = []
        for text in record.texts:
            caption = " ".join(text.split())
            self.counts["texts"] += 1
            if not caption:
                self.counts["empty_texts"] += 1
                fix = "Write a caption, or allow a share of empty ones with allow_missing=SHARE."
                self.empty.add("empty", record.place.problem("empty caption", fix))
            elif caption in image.captions:
                self.counts["repeated_texts"] += 1
            else:
                image.item.texts.append((f"{image.item.id}#{len(image.item.texts)}", caption))
                new.append(caption)
        image.captions.update(new)

    def _check_or_ship(self, image: _Image, record: Record) -> None:
        """Writes the image that a record contains, or looks for the one it names; sets `image.fault` if it fails."""
        try:
            if record.data is not None:
                if len(record.data) > MAX_IMAGE_BYTES:
                    raise DataError(Problem("", None, f"image of {len(record.data):,} bytes", ""))
                suffix = check_header(record.data, record.file)
                # named by its content, so that no name from an archive becomes a path
                image.item.file = f"{image.digest[:2]}/{image.digest[:32]}{suffix}"
                path = self.shipped / image.item.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(record.data)
                image.shipped = True
            elif self.presence is None or not image.item.file:
                image.fault = ("no image", "no image")
            else:
                kind, what = self.presence.fault(record.file)
                if kind == "path":
                    self.problems.add("path", record.place.problem(what, PATH_FIX))
                image.fault = (kind, f"image {record.file}: {what}" if kind == "broken" else what)
        except DataError as error:
            image.fault = ("broken", f"image {record.file or image.item.id!r}: {error.problems[0].what}")

    def finish(self, shares: Shares) -> dict[str, Any]:
        """Checks all images, draws splits, and fills `items` and `missing`; returns the counts for table.json.

        Raises:
            DataError: all problems at once.
            UsageError: a split to draw is stated by records already.
        """
        unusable = Problems()
        usable = []
        for image in self.images.values():
            kind, what = image.fault
            if kind == "path":
                continue  # added to the problems already, whatever share may be missing
            if not kind and not image.item.texts:
                kind, what = "no caption", f"image {image.item.id!r} has no caption"
            if kind:
                self.missing.add_image(image.item.id, image.item.split, len(image.item.texts), kind)
                unusable.add(kind, image.place.problem(what, _ALLOW))
            else:
                usable.append(image)
        self._add_if_above_share(len(self.missing.ids), len(self.images), unusable)
        self._add_if_above_share(self.counts["empty_texts"], self.counts["texts"], self.empty)
        drawn = self._draw(usable, shares)
        repeated = self._count_copies(usable)
        self.problems.raise_if_any()
        if not usable:
            what = "no image with a caption is there" if self.images else "no rows"
            where = next(iter(self.images.values())).place.file if self.images else str(self.image_root or "")
            raise DataError(Problem(where, None, what, "Check the folder and the options that name columns."))
        self.items = [image.item for image in usable]
        self._remove_unused()
        facts = {
            "rows": self.counts["rows"],
            **{name: self.counts[name] for name in ("empty_texts", "repeated_texts")},
            "repeated_images": repeated,
        }
        if self.image_root is not None:
            facts["unlisted_images"] = self._count_unlisted()
        return facts | ({"drawn": drawn} if drawn else {})

    def _add_if_above_share(self, count: int, total: int, problems: Problems) -> None:
        if exceeds(count, total, self.missing.allowed):
            self.problems.extend(problems.list())

    def _draw(self, images: Sequence[_Image], shares: Shares) -> dict[str, Any]:
        """Draws splits for images that state none, by a hash of the group, or of the image's content without a group.

        Returns:
            What was drawn, for table.json; {} if nothing was.
        """
        stated = {image.item.split for image in self.images.values()}
        share_of = {name: share for name, share in (("val", shares.val), ("test", shares.test)) if share}
        if both := [name for name in share_of if name in stated]:
            raise UsageError(f"{both[0]}={share_of[both[0]]} draws a split that the data state already; leave it out")
        if not share_of:
            for image in self.images.values():
                if not image.item.split:
                    fix = "State train, val or test in a column or folder, or draw them with val=0.1 test=0.1."
                    self.problems.add("no split", image.place.problem(f"image {image.item.id!r} has no split", fix))
            return {}
        pool = [image for image in images if image.item.split in ("", "train")]
        for image in pool:
            name = f"group {image.item.group}" if image.item.group else self._digest(image)
            fraction = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
            split = "test" if fraction < shares.test else "val" if fraction < shares.test + shares.val else "train"
            image.item.split = split
        counts = Counter(image.item.split for image in pool)
        for split in (*share_of, "train"):
            if pool and not counts[split]:
                what = f"no image of {len(pool)} fell into {split}"
                where = pool[0].place.file
                self.problems.add("drawn", Problem(where, None, what, "Draw other shares, or state the splits."))
        content = "path in the store" if isinstance(self.image_root, Url) else "bytes"
        by = f"sha256 of the group, or of the image's {content} where it has none"
        images_drawn = {name: counts[name] for name in SPLITS if counts[name]}
        return {**share_of, "from": len(pool), "by": by, "images": images_drawn}

    def _digest(self, image: _Image) -> str:
        """sha256 of the image's bytes, so that copies under other names fall into the same split.

        For an image in a store the sha256 of its path: hashing the bytes would download every image.
        """
        if isinstance(self.image_root, Url):
            return hashlib.sha256(image.item.file.encode()).hexdigest()
        if not image.digest and self.image_root is not None and image.item.file:
            with open(contained(self.image_root, image.item.file), "rb") as file:
                image.digest = hashlib.file_digest(file, "sha256").hexdigest()
        return image.digest

    def _count_copies(self, images: Sequence[_Image]) -> int:
        """The number of images with the bytes or file of an earlier one; adds a problem if that is in another split."""
        first: dict[str, _Image] = {}
        repeated = 0
        for image in images:
            keys = [key for key in (image.digest, image.item.file) if key]
            others = [first[key] for key in keys if key in first]
            for key in keys:
                first.setdefault(key, image)
            repeated += bool(others)
            for other in others[:1]:
                if other.item.split != image.item.split:
                    what = (
                        f"image {image.item.id!r} is in {image.item.split or 'no split'}, its copy {other.item.id!r} "
                        f"(row {other.place.row}) in {other.item.split or 'no split'}"
                    )
                    self.problems.add("copies", image.place.problem(what, "Keep an image in one split."))
        return repeated

    def _remove_unused(self) -> None:
        """Removes images that were written into the table before they turned out to have no caption."""
        used = {item.file for item in self.items}
        for image in self.images.values():
            if image.shipped and image.item.file not in used:
                (self.shipped / image.item.file).unlink(missing_ok=True)

    def _count_unlisted(self) -> int:
        """The number of image files below the root that no record names."""
        assert self.presence is not None
        named = {image.item.file for image in self.images.values()}
        image_files = (file for file in self.presence.files() if PurePosixPath(file).suffix.lower() in IMAGE_SUFFIXES)
        return sum(file not in named for file in image_files)
