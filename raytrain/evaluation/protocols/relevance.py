"""Relevance: the gallery items that answer each query, where a query has many (ECCV Caption, CxC, classes).

    ECCV Caption   Chun et al., ECCV 2022: verified positives of 1,261 images and 1,332 captions of the COCO 5K test
    CxC            Parekh et al., EACL 2021: rated pairs of the COCO 5K test; a rating of 3 of 5 or more is a positive
    classes        items of one class answer one another (CUB Captions, in the protocol of PCME)

ECCV Caption and the image-text pairs of CxC are JSON files of the package eccv_caption, which are read as data; the
package is not imported. Image-image and text-text pairs are the CSV files of CxC itself, in a folder of the user.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from raytrain.errors import DataError, Problem, UsageError, pip_install
from raytrain.files import open_regular

Pairs = Mapping[str, Iterable[str]]
"""{id of a query: ids of the items that answer it}."""
IMAGES_LEAST, TEXTS_LEAST = 2.5, 3.0
"""CxC: least rating of a positive pair of two images, and of a pair with a caption (as in VSE-infinity)."""
_SENTENCE, _IMAGE = "COCO_val2014:sentid:", "COCO_val2014_"


@dataclass(frozen=True)
class Positives:
    """The positives of each query, as positions; queries without a positive are left out.

    Args:
        queries: (Q,) positions of the queries, ascending.
        items: (Q, P) positions of the gallery items that answer each query, -1 where it has fewer than P.
        number: (Q,) number of items that answer each query, the R of R-precision and mAP@R.
        without: number of queries of the benchmark that are left out: absent, or without a positive in the gallery.
        outside: number of positives of the present queries that are not in the gallery.
    """

    queries: Tensor
    items: Tensor
    number: Tensor
    without: int = 0
    outside: int = 0


def padded(lists: Sequence[Sequence[int]]) -> Tensor:
    """Lists of different lengths -> (Q, P) int64, padded with -1; P is at least 1."""
    width = max(1, max(map(len, lists), default=1))
    rows = [[*positions, *[-1] * (width - len(positions))] for positions in lists]
    return torch.tensor(rows, dtype=torch.int64).reshape(len(lists), width)


def of_pairs(pairs: Pairs, query_ids: Sequence[str], item_ids: Sequence[str], count_outside: bool = False) -> Positives:
    """Positives from pairs of ids.

    Args:
        pairs: all pairs of a benchmark.
        query_ids: of the split's queries, in order.
        item_ids: of the gallery, in order.
        count_outside: whether positives outside the gallery, which no ranking can retrieve, count in R.
    """
    row = {name: position for position, name in enumerate(query_ids)}
    column = {name: position for position, name in enumerate(item_ids)}
    present: list[tuple[int, list[int], int]] = []  # (query, its items in the gallery, R)
    outside = 0
    for name, answers in pairs.items():
        if name in row:
            distinct = set(answers)
            inside = sorted(column[item] for item in distinct if item in column)
            if inside:
                present.append((row[name], inside, len(distinct if count_outside else inside)))
                outside += len(distinct) - len(inside)
    present.sort()
    queries = torch.tensor([query for query, _, _ in present], dtype=torch.int64)
    number = torch.tensor([count for _, _, count in present], dtype=torch.int64)
    return Positives(queries, padded([items for _, items, _ in present]), number, len(pairs) - len(present), outside)


def of_classes(query_class: Sequence[str], item_class: Sequence[str]) -> Positives:
    """Positives from classes: every gallery item of a query's class answers it.

    Queries without a class, and queries whose class the gallery lacks, are left out.

    Args:
        query_class: (Q) class of each query, empty where it has none.
        item_class: (G) class of each gallery item, likewise.
    """
    members: dict[str, list[int]] = {}
    for position, name in enumerate(item_class):
        members.setdefault(name, []).append(position)
    members.pop("", None)
    kept = [position for position, name in enumerate(query_class) if name in members]
    names = list(members)
    number = {name: position for position, name in enumerate(names)}
    rows = torch.tensor([number[query_class[position]] for position in kept], dtype=torch.int64)
    items = padded([members[name] for name in names])[rows]
    queries = torch.tensor(kept, dtype=torch.int64)
    return Positives(queries, items, (items >= 0).sum(1), len(query_class) - len(kept))


def eccv_pairs() -> dict[str, Pairs]:
    """{"i2t": positives of 1,261 images, "t2i": of 1,332 captions} by COCO's ids; each direction has its annotations.

    Raises:
        UsageError: the package that holds them is not installed.
    """
    return _packaged("eccv")


def cxc_pairs() -> dict[str, Pairs]:
    """{"i2t": positives of 5,000 images, "t2i": of 24,972 captions} by COCO's ids: the pairs rated 3 or more.

    29 original pairs are rated lower, so that 28 captions have no positive and are no queries.

    Raises:
        UsageError: the package that holds them is not installed.
    """
    return _packaged("cxc")


def rated_pairs(folder: str | os.PathLike[str], own: Mapping[str, Sequence[str]]) -> dict[str, Pairs]:
    """{"i2t", "t2i": pairs of sits_test.csv, "i2i": of sis_test.csv, "t2t": of sts_test.csv} of CxC's present files.

    An image and a caption rated 3 or more answer each other, as do two images rated 2.5 or more and two captions rated
    3 or more; captions of one image always answer each other. Ids are COCO's: "391895" of an image, "770337" of a
    caption.

    Args:
        folder: of the CSV files.
        own: {image: its captions}.

    Raises:
        UsageError: a folder with none of these files.
        DataError: a file that cannot be read, or has other columns.
    """
    root = Path(folder).expanduser()
    by_direction: dict[str, Pairs] = {}
    if (root / "sits_test.csv").is_file():
        rated = _rated(root / "sits_test.csv", ("image", "caption"), TEXTS_LEAST)
        by_direction["i2t"] = _grouped(rated)
        by_direction["t2i"] = _grouped((caption, image) for image, caption in rated)
    if (root / "sis_test.csv").is_file():
        by_direction["i2i"] = _symmetric(_rated(root / "sis_test.csv", ("image1", "image2"), IMAGES_LEAST))
    if (root / "sts_test.csv").is_file():
        pairs = _rated(root / "sts_test.csv", ("caption1", "caption2"), TEXTS_LEAST)
        siblings = [(a, b) for captions in own.values() for a in captions for b in captions if a != b]
        by_direction["t2t"] = _symmetric([*pairs, *siblings])
    if not by_direction:
        raise UsageError(f"{root} holds no sits_test.csv, sis_test.csv or sts_test.csv; give the data folder of CxC")
    return by_direction


def packaged_files() -> Path:
    """Data folder of the package eccv_caption.

    Raises:
        UsageError: the package is not installed.
    """
    package = importlib.util.find_spec("eccv_caption")
    if package is None or package.origin is None:
        raise UsageError(
            "the positives of ECCV Caption and CxC are files of the package eccv_caption, which is not installed; "
            f"get it with the extra 'eval': {pip_install('eval')}"
        )
    return Path(package.origin).parent / "data"


def _packaged(name: str) -> dict[str, Pairs]:
    """The pairs of a benchmark ("eccv" or "cxc") in both directions."""
    by_direction: dict[str, Pairs] = {}
    for direction, stem in (("i2t", "image_to_caption"), ("t2i", "caption_to_image")):
        path = packaged_files() / f"{name}_{stem}.json"
        try:
            pairs = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise DataError(Problem(str(path), None, f"not readable: {error}", "Install eccv_caption again.")) from None
        by_direction[direction] = {str(query): [str(item) for item in items] for query, items in pairs.items()}
    return by_direction


def _rated(path: Path, columns: tuple[str, str], least: float) -> list[tuple[str, str]]:
    """Pairs of COCO's ids with a rating of `least` or more, from a CSV file with these two columns."""
    fix = "Get the file again from the data folder of CxC."
    pairs, line = [], 1
    try:
        with io.TextIOWrapper(open_regular(path), encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if missing := {*columns, "agg_score"} - set(reader.fieldnames or ()):
                raise DataError(Problem(str(path), 1, f"no column {', '.join(sorted(missing))}", fix))
            for row in reader:
                line = reader.line_num
                if float(row["agg_score"]) >= least:
                    pairs.append((_coco_id(row[columns[0]]), _coco_id(row[columns[1]])))
    except DataError:
        raise
    except (OSError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise DataError(Problem(str(path), line, f"not readable: {error}", fix)) from None
    return pairs


def _coco_id(name: str) -> str:
    """ "770337" of "COCO_val2014:sentid:770337", "391895" of "COCO_val2014_000000391895.jpg"."""
    if name.startswith(_SENTENCE):
        return str(int(name.removeprefix(_SENTENCE)))
    return str(int(name.removeprefix(_IMAGE).removesuffix(".jpg")))


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """{first of a pair: second of all pairs with it}"""
    groups: dict[str, set[str]] = {}
    for query, item in pairs:
        groups.setdefault(query, set()).add(item)
    return groups


def _symmetric(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """As `_grouped`, with every pair in both directions; nothing answers itself."""
    different = [(a, b) for a, b in pairs if a != b]
    return _grouped([*different, *((b, a) for a, b in different)])
