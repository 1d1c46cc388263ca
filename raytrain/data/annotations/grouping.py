"""Records by image, and the table they make: what sources of one's own data share.

A source turns its files into `Record`s; `write_records` groups them by image, looks for everything that is wrong,
draws splits where none are stated, ships pictures that come inside archives, and writes the table. What it leaves out
it counts in table.json: images that are absent or broken or have no caption, empty captions, repeated ones.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from raytrain.data.annotations.items import Item, to_arrow
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
_ROW = "Correct the row."


@dataclass
class _Image:
    item: Item
    place: SourceLocation
    rows: int = 0
    said: set[str] = field(default_factory=set)
    digest: str = ""  # sha256 of its content, where it is known
    shipped: bool = False  # its picture is written, and item.file names it
    fault: tuple[str, str] = ("", "")  # kind, and what is wrong in words


def write_records(
    out: str | os.PathLike[str],
    source: Mapping[str, Any],
    records: Iterable[Record],
    shares: Shares,
    problems: Problems,
    image_root: Root | None,
) -> Table:
    """The table of all records.

    Args:
        out: folder of the new table.
        source: name and options, for table.json.
        records: read once; what is wrong with a row that makes no record is in `problems` already.
        shares: splits to draw, and what may be missing.
        problems: of reading; nothing is written if there is any.
        image_root: folder that files are relative to; None where every picture comes with its row and is shipped.

    Raises:
        DataError: everything wrong at once; nothing is left behind.
    """
    if image_root is not None and not image_root.is_dir():
        raise DataError(Problem(str(image_root), None, "not a folder", "Name the image folder with images=FOLDER."))
    with TableWriter(out, source, image_root="images" if image_root is None else image_root) as writer:
        gathered = Gathered(problems, image_root, writer.path / "images", shares.allow_missing)
        try:
            for record in records:
                gathered.add(record)
        except DataError as error:
            problems.extend(error.problems)
        writer.source |= gathered.finish(shares)
        writer.missing = gathered.missing
        writer.write(*to_arrow(gathered.items))
    return Table(out)


class Gathered:
    """Records by image.

    Attributes:
        items: the usable images, after `finish`, in the order of their first rows.
        missing: the others.
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
        """One more row; its picture, if it brings one, is checked and written."""
        self.counts["rows"] += 1
        if record.split and split_of(record.split) is None:
            self._bad("split", record.place, f"split {record.split!r}, allowed are {', '.join(SPLIT_OF)}")
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
            self._picture(image, record)
        else:
            self._again(image, record, file, digest)
        image.rows += 1
        self._texts(image, record)

    def _again(self, image: _Image, record: Record, file: str, digest: str) -> None:
        """A further row of an image says of it what the first one says."""
        first = f"row {image.place.row}"
        if image.digest != digest or (not digest and image.item.file != file):
            self._bad("two images", record.place, f"image id {image.item.id!r} has another image in {first}")
        for what, here in (("split", split_of(record.split) or ""), ("group", record.group)):
            before = getattr(image.item, what)
            if here != before:
                words = f"image {image.item.id!r} is of {what} {here!r} here and of {before!r} in {first}"
                self._bad(f"two {what}s", record.place, words)

    def _texts(self, image: _Image, record: Record) -> None:
        new = []
        for text in record.texts:
            plain = " ".join(text.split())
            self.counts["texts"] += 1
            if not plain:
                self.counts["empty_texts"] += 1
                fix = "Write a caption, or allow a share of empty ones with allow_missing=SHARE."
                self.empty.add("empty", Problem(record.place.file, record.place.row, "empty caption", fix))
            elif plain in image.said:  # a row that says again what an earlier row said
                self.counts["repeated_texts"] += 1
            else:
                image.item.texts.append((f"{image.item.id}#{len(image.item.texts)}", plain))
                new.append(plain)
        image.said.update(new)  # a row's own list may repeat itself: five captions an image stay five

    def _picture(self, image: _Image, record: Record) -> None:
        try:
            if record.data is not None:
                if len(record.data) > MAX_IMAGE_BYTES:
                    raise DataError(Problem("", None, f"image of {len(record.data):,} bytes", ""))
                suffix = check_header(record.data, record.file)
                # the name comes from the content: nothing that an archive says names a file
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
                    self._bad("path", record.place, what, PATH_FIX)
                image.fault = (kind, f"image {record.file}: {what}" if kind == "broken" else what)
        except DataError as error:
            image.fault = ("broken", f"image {record.file or image.item.id!r}: {error.problems[0].what}")

    def finish(self, shares: Shares) -> dict[str, Any]:
        """Checks the whole, draws splits, fills `items` and `missing`; returns what table.json says of it.

        Raises:
            DataError: everything wrong, at once.
        """
        unusable = Problems()
        usable = []
        for image in self.images.values():
            kind, what = image.fault
            if kind == "path":
                continue  # a problem already, whatever may be missing
            if not kind and not image.item.texts:
                kind, what = "no caption", f"image {image.item.id!r} has no caption"
            if kind:
                self.missing.add_image(image.item.id, image.item.split, len(image.item.texts), kind)
                unusable.add(kind, Problem(image.place.file, image.place.row, what, _ALLOW))
            else:
                usable.append(image)
        self._refuse_above(len(self.missing.ids), len(self.images), unusable)
        self._refuse_above(self.counts["empty_texts"], self.counts["texts"], self.empty)
        drawn = self._draw(usable, shares)
        repeated = self._copies(usable)
        self.problems.raise_if_any()
        if not usable:
            what = "no image with a caption is there" if self.images else "no row"
            where = next(iter(self.images.values())).place.file if self.images else str(self.image_root or "")
            raise DataError(Problem(where, None, what, "Check the folder, and the columns by option."))
        self.items = [image.item for image in usable]
        self._remove_unused()
        facts = {
            "rows": self.counts["rows"],
            **{name: self.counts[name] for name in ("empty_texts", "repeated_texts")},
            "repeated_images": repeated,
        }
        if self.image_root is not None:
            facts["unlisted_images"] = self._unlisted()
        return facts | ({"drawn": drawn} if drawn else {})

    def _refuse_above(self, count: int, total: int, found: Problems) -> None:
        if exceeds(count, total, self.missing.allowed):
            self.problems.extend(found.list())

    def _draw(self, images: Sequence[_Image], shares: Shares) -> dict[str, Any]:
        """Splits for images that state none, by hash: of the group where there is one, else of the image's content."""
        stated = {image.item.split for image in self.images.values()}
        wanted = {name: share for name, share in (("val", shares.val), ("test", shares.test)) if share}
        if twice := [name for name in wanted if name in stated]:
            raise UsageError(f"{twice[0]}={wanted[twice[0]]} draws a split that the data state already; leave it out")
        if not wanted:
            for image in self.images.values():
                if not image.item.split:
                    fix = "State train, val or test in a column or folder, or draw them with val=0.1 test=0.1."
                    self._bad("no split", image.place, f"image {image.item.id!r} has no split", fix)
            return {}
        pool = [image for image in images if image.item.split in ("", "train")]
        for image in pool:
            name = f"group {image.item.group}" if image.item.group else self._digest(image)
            place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
            split = "test" if place < shares.test else "val" if place < shares.test + shares.val else "train"
            image.item.split = split
        found = Counter(image.item.split for image in pool)
        for split in (*wanted, "train"):
            if pool and not found[split]:
                what = f"no image of {len(pool)} fell into {split}"
                where = pool[0].place.file
                self.problems.add("drawn", Problem(where, None, what, "Draw other shares, or state the splits."))
        each = "path in the store" if isinstance(self.image_root, Url) else "bytes"
        by = f"sha256 of the group, or of the image's {each} where it has none"
        return {**wanted, "from": len(pool), "by": by, "images": {name: found[name] for name in SPLITS if found[name]}}

    def _digest(self, image: _Image) -> str:
        """sha256 of the image's bytes, so that copies under other names fall into the same split.

        In a store, which would have to send every image for it, of its path.
        """
        if isinstance(self.image_root, Url):
            return hashlib.sha256(image.item.file.encode()).hexdigest()
        if not image.digest and self.image_root is not None and image.item.file:
            with open(contained(self.image_root, image.item.file), "rb") as file:
                image.digest = hashlib.file_digest(file, "sha256").hexdigest()
        return image.digest

    def _copies(self, images: Sequence[_Image]) -> int:
        """How many images show what an earlier one shows; in another split that is a problem."""
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
                    self._bad("copies", image.place, what, "Keep an image in one split.")
        return repeated

    def _remove_unused(self) -> None:
        """Pictures that were written before it was known that nothing is said of them."""
        used = {item.file for item in self.items}
        for image in self.images.values():
            if image.shipped and image.item.file not in used:
                (self.shipped / image.item.file).unlink(missing_ok=True)

    def _unlisted(self) -> int:
        """How many image files of the root no row names."""
        assert self.presence is not None
        named = {image.item.file for image in self.images.values()}
        found = (file for file in self.presence.files() if PurePosixPath(file).suffix.lower() in IMAGE_SUFFIXES)
        return sum(file not in named for file in found)

    def _bad(self, kind: str, place: SourceLocation, what: str, fix: str = _ROW) -> None:
        self.problems.add(kind, Problem(place.file, place.row, what, fix))
