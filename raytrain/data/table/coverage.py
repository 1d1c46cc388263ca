"""What was annotated and what of it a table lacks, so that a result can state its denominators.

    "missing": ["7.jpg"],
    "accounts": {"allow_missing": 0.05, "because": {"not found": 1},
                 "splits": {"val": {"items": {"annotated": 516, "missing": 1}, "texts": {...}, "queries": {...}}}}

Nothing is missing unless the user allows a share; then table.json says so, and every evaluation on the table says it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from raytrain.data.problems import Problems
from raytrain.data.table.description import Accounts
from raytrain.data.table.table import Table
from raytrain.errors import Problem, UsageError

UNKNOWN = "unknown"  # split of a missing image where splits are drawn among those that are there
_AGAIN = "Build the table again."


@dataclass
class Missing:
    """What a table leaves out.

    Args:
        allowed: share in [0, 1] of the annotated images that may be missing.
        ids: of the images.
        because: {reason: how many of them}.
        splits: {split: {"items", "texts", "queries": how many}}.
    """

    allowed: float = 0.0
    ids: list[str] = field(default_factory=list)
    because: Counter[str] = field(default_factory=Counter)
    splits: dict[str, Counter[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.allowed <= 1:
            raise UsageError(f"allow_missing is a share in [0, 1]; given: {self.allowed}")

    def add_image(self, id: str, split: str, texts: int, because: str) -> None:
        """An image, with its captions; `split` is empty where splits are drawn among the images that are there."""
        self.ids.append(id)
        self.because[because] += 1
        self.splits.setdefault(split or UNKNOWN, Counter()).update(items=1, texts=texts)

    def add_query(self, split: str, texts: int) -> None:
        """A composed query whose images are not there, and the texts that ask it."""
        self.splits.setdefault(split, Counter()).update(queries=1, texts=texts)

    def accounts(self, kept: Mapping[str, Mapping[str, int]]) -> Accounts:
        """What table.json says of it.

        Args:
            kept: {split: {"items", "texts", "queries": how many are in the table}}.
        """
        splits: dict[str, dict[str, dict[str, int]]] = {}
        for name in [*kept, *(name for name in self.splits if name not in kept)]:
            here, gone = kept.get(name, {}), self.splits.get(name, Counter())
            splits[name] = {
                what: {"annotated": here.get(what, 0) + gone[what], "missing": gone[what]}
                for what in ("items", "texts", "queries")
                if what in here or gone[what]
            }
        return Accounts(allow_missing=self.allowed, because=dict(sorted(self.because.items())), splits=splits)


def exceeds(count: int, total: int, share: float) -> bool:
    """Whether `count` of `total` is more than the share; 29 of 100 is not more than 0.29."""
    return count > share * total + 1e-9


def annotated(table: Table) -> dict[str, dict[str, int]]:
    """{"items", "texts", "queries": {"annotated", "missing"}} over all splits; {} of a table without accounts."""
    accounts = table.description.accounts
    totals: dict[str, Counter[str]] = {}
    for split in accounts.splits.values() if accounts else ():
        for what, numbers in split.items():
            totals.setdefault(what, Counter()).update(numbers)
    return {what: {name: numbers[name] for name in ("annotated", "missing")} for what, numbers in totals.items()}


def notes(table: Table, split: str) -> list[str]:
    """What goes with every result on a split: what is missing of what was annotated, and features that are zeros."""
    lines = []
    if table.description.missing:
        accounts, whole = table.description.accounts, annotated(table)
        own = accounts.splits.get(split, {}) if accounts else {}
        parts = []
        asked = ("queries", "queries") if "queries" in whole else ("texts", "captions")
        for what, word in (("items", "images"), asked):
            if whole.get(what, {}).get("missing"):
                here = own.get(what, {"annotated": 0, "missing": 0})
                counts = f"{whole[what]['missing']:,} of {whole[what]['annotated']:,} annotated {word}"
                parts.append(f"{counts} ({here['missing']:,} of {here['annotated']:,} in {split})")
        lacks = " and ".join(parts) or f"{len(table.description.missing):,} annotated images"
        why = "built by an earlier version, which kept no accounts"
        if accounts:
            because = ", ".join(f"{number:,} {reason}" for reason, number in accounts.because.items())
            why = f"{because}; it was built with allow_missing={accounts.allow_missing}"
        lines.append(f"the table lacks {lacks}: {why}")
    for feature in table.features.values():
        if zeros := feature.encoder.get("missing"):
            lines.append(
                f"feature {feature.name} is zeros for {len(zeros):,} unreadable of {feature.shape[0]:,} images"
            )
    return lines


def check_accounts(table: Table, problems: Problems) -> None:
    """Adds what contradicts itself in a table's accounts."""
    file, missing = str(table.path / "table.json"), table.description.missing

    def bad(what: str) -> None:
        problems.add("accounts", Problem(file, None, what, _AGAIN))

    if both := sorted(set(missing) & set(table.items["id"].to_pylist())):
        bad(f"image {both[0]!r} is listed as missing, and is in the table")
    if len(set(missing)) < len(missing):
        bad("an image is listed as missing twice")
    accounts, images = table.description.accounts, annotated(table).get("items", {"annotated": 0, "missing": 0})
    if not accounts:
        bad("no accounts of what was annotated: built by an earlier version")
        return
    if not images["missing"] == len(missing) == sum(accounts.because.values()):
        bad(f"{len(missing)} images are listed as missing, the accounts count {images['missing']}")
    if images["annotated"] - images["missing"] != len(table.items):
        bad(f"{images['annotated']} images annotated, {images['missing']} missing, and {len(table.items)} in the table")
    if exceeds(len(missing), images["annotated"], accounts.allow_missing):
        bad(f"{len(missing)} of {images['annotated']} images are missing, allowed was {accounts.allow_missing}")
