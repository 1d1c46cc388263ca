"""Coverage: what was annotated and what of it a table lacks, so that results can state their denominators.

    "missing": ["7.jpg"],
    "accounts": {"allow_missing": 0.05, "because": {"not found": 1},
                 "splits": {"val": {"items": {"annotated": 516, "missing": 1}, "texts": {...}, "queries": {...}}}}

Nothing is missing unless the user allows a share. If something is, table.json and every evaluation on the table say so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from raytrain.data.problems import Problems
from raytrain.data.table.description import Accounts
from raytrain.data.table.table import Table
from raytrain.errors import Problem, UsageError

UNKNOWN = "unknown"  # split of a missing image if splits are drawn among the images that are there
_FIX = "Build the table again."


@dataclass
class Missing:
    """The images, texts and queries that a table leaves out.

    Args:
        allowed: share in [0, 1] of the annotated images that may be missing.
        ids: of the missing images.
        because: {reason: number of images}.
        splits: {split: {"items", "texts", "queries": number}}.

    Raises:
        UsageError: `allowed` is outside [0, 1].
    """

    allowed: float = 0.0
    ids: list[str] = field(default_factory=list)
    because: Counter[str] = field(default_factory=Counter)
    splits: dict[str, Counter[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.allowed <= 1:
            raise UsageError(f"allow_missing is a share in [0, 1]; given: {self.allowed}")

    def add_image(self, item_id: str, split: str, texts: int, because: str) -> None:
        """Counts a missing image and its captions.

        Args:
            item_id: of the image.
            split: empty if splits are drawn among the images that are there.
            texts: number of its captions.
            because: reason in words, "not found".
        """
        self.ids.append(item_id)
        self.because[because] += 1
        self.splits.setdefault(split or UNKNOWN, Counter()).update(items=1, texts=texts)

    def add_query(self, split: str, texts: int) -> None:
        """Counts a composed query whose images are missing, and its number of texts."""
        self.splits.setdefault(split, Counter()).update(queries=1, texts=texts)

    def accounts(self, kept: Mapping[str, Mapping[str, int]]) -> Accounts:
        """The value of "accounts" in table.json.

        Args:
            kept: {split: {"items", "texts", "queries": number in the table}}.
        """
        splits: dict[str, dict[str, dict[str, int]]] = {}
        for name in [*kept, *(name for name in self.splits if name not in kept)]:
            kept_counts, missing_counts = kept.get(name, {}), self.splits.get(name, Counter())
            splits[name] = {
                what: {"annotated": kept_counts.get(what, 0) + missing_counts[what], "missing": missing_counts[what]}
                for what in ("items", "texts", "queries")
                if what in kept_counts or missing_counts[what]
            }
        return Accounts(allow_missing=self.allowed, because=dict(sorted(self.because.items())), splits=splits)


def exceeds(count: int, total: int, share: float) -> bool:
    """Whether `count` of `total` is more than a share in [0, 1]; 29 of 100 is not more than 0.29."""
    return count > share * total + 1e-9


def annotated(table: Table) -> dict[str, dict[str, int]]:
    """{"items", "texts", "queries": {"annotated", "missing"}} over all splits; {} for a table without accounts."""
    accounts = table.description.accounts
    totals: dict[str, Counter[str]] = {}
    for split in accounts.splits.values() if accounts else ():
        for what, numbers in split.items():
            totals.setdefault(what, Counter()).update(numbers)
    return {what: {name: numbers[name] for name in ("annotated", "missing")} for what, numbers in totals.items()}


def notes(table: Table, split: str) -> list[str]:
    """Sentences for every result on a split: what of the annotations is missing, and what of features is not sound."""
    result = [] if table.verify_features else ["features were not compared with table.json"]
    if table.description.missing:
        accounts, totals = table.description.accounts, annotated(table)
        split_accounts = accounts.splits.get(split, {}) if accounts else {}
        parts = []
        texts_or_queries = ("queries", "queries") if "queries" in totals else ("texts", "captions")
        for what, word in (("items", "images"), texts_or_queries):
            if totals.get(what, {}).get("missing"):
                split_numbers = split_accounts.get(what, {"annotated": 0, "missing": 0})
                counts = f"{totals[what]['missing']:,} of {totals[what]['annotated']:,} annotated {word}"
                parts.append(f"{counts} ({split_numbers['missing']:,} of {split_numbers['annotated']:,} in {split})")
        lacks = " and ".join(parts) or f"{len(table.description.missing):,} annotated images"
        why = "built by an earlier version, which kept no accounts"
        if accounts:
            because = ", ".join(f"{number:,} {reason}" for reason, number in accounts.because.items())
            why = f"{because}; it was built with allow_missing={accounts.allow_missing}"
        result.append(f"the table lacks {lacks}: {why}")
    for feature in table.features.values():
        if zeros := feature.encoder.get("missing"):
            count = f"{len(zeros):,} unreadable of {feature.shape[0]:,} images"
            result.append(f"feature {feature.name} is zeros for {count}")
    return result


_REMARKS = {
    "bad_rows": "rows that cannot be read, left out",
    "empty_texts": "empty captions, left out",
    "repeated_texts": "captions that repeat an earlier one of their image, kept once",
    "repeated_images": "images with the bytes of another one",
    "copies_across_splits": "images with the bytes of one in another split",
    "unlisted_images": "image files that are not listed",
    "respelled_images": "images whose names are spelled otherwise in the annotations",
    "texts_of_several_lines": "texts of several lines that are one caption (lines=true makes one of each line)",
    "features_without_captions": "features without a caption, left out",
}


def remarks_on(table: Table) -> list[str]:
    """Sentences for the person who builds a table: what its sources hold that is left out, read otherwise or shared."""
    source, remarks = table.description.source, []
    counts = {**source, **source.get("members", {})}
    for name, words in _REMARKS.items():
        if count := counts.get(name, 0):
            example = f" ({source['first_bad_rows'][0]})" if name == "bad_rows" else ""
            remarks.append(f"{words}: {count:,}{example}")
    if shared := source.get("shared_texts"):
        across = f", {shared['across_splits']:,} of them across splits" if shared["across_splits"] else ""
        remarks.append(f"captions that several images share: {shared['captions']:,}{across}")
    if unused := source.get("unused_columns"):
        remarks.append(f"columns that are not read: {', '.join(unused[:20])}")
    return remarks


def check_accounts(table: Table, problems: Problems) -> None:
    """Adds the contradictions between a table's accounts and its contents."""
    file, missing = str(table.path / "table.json"), table.description.missing

    def add_problem(what: str) -> None:
        problems.add("accounts", Problem(file, None, what, _FIX))

    if both := sorted(set(missing) & set(table.items["id"].to_pylist())):
        add_problem(f"image {both[0]!r} is listed as missing, and is in the table")
    if len(set(missing)) < len(missing):
        add_problem("an image is listed as missing twice")
    accounts, images = table.description.accounts, annotated(table).get("items", {"annotated": 0, "missing": 0})
    if not accounts:
        add_problem("no accounts of what was annotated: built by an earlier version")
        return
    if not images["missing"] == len(missing) == sum(accounts.because.values()):
        add_problem(f"{len(missing)} images are listed as missing, the accounts count {images['missing']}")
    total, allowed = images["annotated"], accounts.allow_missing
    if total - images["missing"] != len(table.items):
        add_problem(f"{total} images annotated, {images['missing']} missing, and {len(table.items)} in the table")
    if exceeds(len(missing), total, allowed):
        add_problem(f"{len(missing)} of {total} images are missing, allowed was {allowed}")
