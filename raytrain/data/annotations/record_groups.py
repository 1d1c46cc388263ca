"""Records grouped by image: repeats, copies, splits that are drawn, and what is left out.

table.json counts what is left out: rows that cannot be read, images that are absent, broken or without a caption, empty
captions and repeated ones.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from raytrain.data.annotations.caption_text import caption_of
from raytrain.data.annotations.copies import exact_copies
from raytrain.data.annotations.items import Item
from raytrain.data.annotations.records import SPLIT_OF, Record, Shares, SourceLocation, split_of
from raytrain.data.images import IMAGE_SUFFIXES, MAX_IMAGE_BYTES, check_header
from raytrain.data.paths import PATH_FIX, contained
from raytrain.data.presence import Placed, Presence
from raytrain.data.problems import Problems
from raytrain.data.storage import Root, Url
from raytrain.data.table.coverage import Missing, exceeds
from raytrain.data.table.schema import SPLITS
from raytrain.errors import DataError, Problem, UsageError
from raytrain.files import open_regular

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


class RecordGroups:
    """Records grouped by image.

    Args:
        problems: receives the problems of the records.
        image_root: as in `write_records`.
        shipped: folder that images from records are written to.
        allow_missing: share in [0, 1] of the images, of the captions and of the rows that may be unusable.
        bad_rows: those that cannot be read.

    Attributes:
        items: after `finish`, the usable images in the order of their first records.
        missing: the other images.
    """

    def __init__(
        self,
        problems: Problems,
        image_root: Root | None,
        shipped: Path,
        allow_missing: float,
        bad_rows: Problems | None = None,
    ) -> None:
        self.problems, self.image_root, self.shipped = problems, image_root, shipped
        self.bad_rows = Problems() if bad_rows is None else bad_rows
        self.presence = None if image_root is None else Presence(image_root)
        self.images: dict[tuple[str, str], _Image] = {}  # by scope and id
        self._placed: dict[str, Placed] = {}  # by path as annotated
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
        if self.presence is not None and file:
            placed = self._placed.get(record.file) or self._placed.setdefault(
                record.file, self.presence.find(record.file)
            )
            file = str(PurePosixPath(placed.file))
        identity = record.id or (file if record.data is None else "") or digest[:16]
        if not identity:
            identity = f"{PurePosixPath(record.place.file).name}#{record.place.row}"
        image = self.images.get((record.scope, identity))
        if image is None:
            item = Item(identity, file, split_of(record.split) or "", [], record.group, record.attribution)
            image = self.images[record.scope, identity] = _Image(item, record.place, digest=digest)
            self._check_or_ship(image, record)
        else:
            self._compare(image, record, file, digest)
        self._add_captions(image, record)

    def _compare(self, image: _Image, record: Record, file: str, digest: str) -> None:
        """Adds a problem if a further record of an image contradicts the first one."""
        first = f"row {image.place.row}"
        if image.place.file != record.place.file:
            first = f"{PurePosixPath(image.place.file).name}, {first}"
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
            caption = caption_of(text)
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
                placed = self._placed[record.file]
                if placed.kind == "path":
                    self.problems.add("path", record.place.problem(placed.what, PATH_FIX))
                what = f"image {record.file}: {placed.what}" if placed.kind == "broken" else placed.what
                image.fault = (placed.kind, what)
        except DataError as error:
            image.fault = ("broken", f"image {record.file or image.item.id!r}: {error.problems[0].what}")

    def finish(self, shares: Shares) -> dict[str, Any]:
        """Checks all images, draws splits, and fills `items` and `missing`; returns the counts for table.json.

        Raises:
            DataError: all problems at once.
            UsageError: a split to draw is stated by records already.
        """
        self._tell_scopes_apart()
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
        self._add_if_above_share(len(self.bad_rows), self.counts["rows"] + len(self.bad_rows), self.bad_rows)
        self._hash_copies(usable)
        drawn = self._draw(usable, shares)
        repeated = self._count_copies(usable)
        self.problems.raise_if_any()
        if not usable:
            what = "no image with a caption is there" if self.images else "no rows"
            where = next(iter(self.images.values())).place.file if self.images else str(self.image_root or "")
            raise DataError(Problem(where, None, what, "Check the folder and the options that name columns."))
        self.items = [image.item for image in usable]
        self._remove_unused()
        facts: dict[str, Any] = {
            "rows": self.counts["rows"],
            **{name: self.counts[name] for name in ("empty_texts", "repeated_texts")},
            "repeated_images": repeated,
        }
        if self.image_root is not None:
            facts["unlisted_images"] = self._count_unlisted()
        if respelled := sum(PurePosixPath(name) != PurePosixPath(placed.file) for name, placed in self._placed.items()):
            facts["respelled_images"] = respelled
        if self.bad_rows:
            facts["bad_rows"] = len(self.bad_rows)
            facts["first_bad_rows"] = [
                f"{PurePosixPath(row.file).name}, row {row.row}: {row.what}" for row in self.bad_rows.list()
            ]
        return facts | ({"drawn": drawn} if drawn else {})

    def _tell_scopes_apart(self) -> None:
        """Prefixes the ids with their scopes if two scopes have the same one: shards whose keys begin at 0 again."""
        if len({identity for _, identity in self.images}) == len(self.images):
            return
        for (scope, identity), image in self.images.items():
            item = image.item
            item.id = f"{scope}/{identity}"
            item.texts = [(f"{item.id}#{number}", text) for number, (_, text) in enumerate(item.texts)]

    def _hash_copies(self, images: Sequence[_Image]) -> None:
        """Sets the digests of the images in a folder that have the bytes of another one."""
        if isinstance(self.image_root, Path):
            # `_check_or_ship` found these files inside the root
            paths = {id(image): self.image_root / image.item.file for image in images if image.item.file}
            digests = exact_copies(paths.values())
            for image in images:
                image.digest = image.digest or digests.get(paths.get(id(image), Path()), "")

    def _add_if_above_share(self, count: int, total: int, problems: Problems) -> None:
        if exceeds(count, total, self.missing.allowed):
            self.problems.extend(problems.list())

    def _draw(self, images: Sequence[_Image], shares: Shares) -> dict[str, Any]:
        """Draws splits for images that state none, by a hash of the group, or of the image's content without a group.

        Returns:
            What was drawn, for table.json; {} if nothing was.
        """
        stated = {image.item.split for image in self.images.values()}
        if both := [name for name in shares.drawn if name in stated]:
            raise UsageError(
                f"{both[0]}={shares.drawn[both[0]]} draws a split that the data state already; leave it out"
            )
        if not shares.drawn:
            for image in self.images.values():
                if not image.item.split:
                    fix = "State train, val or test in a column or folder, or draw them with val=0.1 test=0.1."
                    self.problems.add("no split", image.place.problem(f"image {image.item.id!r} has no split", fix))
            return {}
        pool = [image for image in images if image.item.split in ("", "train")]
        names = [f"group {image.item.group}" if image.item.group else self._digest(image) for image in pool]
        split_of_name = shares.draw(names)
        for image, name in zip(pool, names, strict=True):
            image.item.split = split_of_name[name]
        counts = Counter(image.item.split for image in pool)
        for split in (*shares.drawn, "train"):
            if pool and not counts[split]:
                what = f"no image of {len(pool)} is left for {split}"
                where = pool[0].place.file
                self.problems.add("drawn", Problem(where, None, what, "Draw other shares, or state the splits."))
        content = "path in the store" if isinstance(self.image_root, Url) else "bytes"
        by = f"sha256 of the group, or of the image's {content} where it has none"
        images_drawn = {name: counts[name] for name in SPLITS if counts[name]}
        return {**shares.drawn, "from": len(pool), "by": by, "images": images_drawn}

    def _digest(self, image: _Image) -> str:
        """sha256 of the image's bytes, so that copies under other names fall into the same split.

        For an image in a store the sha256 of its path: hashing the bytes would download every image.
        """
        if isinstance(self.image_root, Url):
            return hashlib.sha256(image.item.file.encode()).hexdigest()
        if not image.digest and self.image_root is not None and image.item.file:
            with open_regular(contained(self.image_root, image.item.file)) as file:
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
                        f"(the same bytes, row {other.place.row}) in {other.item.split or 'no split'}"
                    )
                    self.problems.add(
                        "copies", image.place.problem(what, "Keep an image in one split, or draw the splits.")
                    )
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
