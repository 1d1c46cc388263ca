"""Which gallery items answer which queries, where a query has many: ECCV Caption, CxC, and classes.

    ECCV Caption   Chun et al., ECCV 2022: verified positives of 1,261 images and 1,332 captions of the COCO 5K test
    CxC            Parekh et al., EACL 2021: pairs of the COCO 5K test that people rated; 3 of 5 and more is positive
    classes        items of one class answer one another (CUB Captions, in the protocol of PCME)

ECCV Caption and the image-text pairs of CxC are JSON files of the package eccv_caption, which is read as data and not
imported. Image-image and text-text pairs are the CSV files of CxC itself, in a folder of the user.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from raytrain.errors import DataError, Problem, UsageError

Pairs = Mapping[str, Iterable[str]]
IMAGES_LEAST, TEXTS_LEAST = 2.5, 3.0
"""CxC: from which rating on two images, or two captions, are a pair (as VSE-infinity evaluates)."""
_SENTENCE, _IMAGE = "COCO_val2014:sentid:", "COCO_val2014_"


@dataclass(frozen=True)
class Positives:
    """Positives by position, for the queries that have any.

    Args:
        queries: (Q,) positions of the queries, ascending.
        items: (Q, P) positions of the gallery items that answer each, -1 where it has fewer than P.
        number: (Q,) the R of R-precision and mAP@R: how many items answer each.
        without: queries of the benchmark that are not here: absent, or with none of their positives in the gallery.
        outside: positives of the queries that are here which are not in the gallery.
    """

    queries: Tensor
    items: Tensor
    number: Tensor
    without: int = 0
    outside: int = 0


def padded(lists: Sequence[Sequence[int]]) -> Tensor:
    """(Q, P) int64 of lists of different lengths, -1 behind the shorter ones; P is at least 1."""
    width = max(1, max(map(len, lists), default=1))
    rows = [[*positions, *[-1] * (width - len(positions))] for positions in lists]
    return torch.tensor(rows, dtype=torch.int64).reshape(len(lists), width)


def of_pairs(pairs: Pairs, query_ids: Sequence[str], item_ids: Sequence[str], count_outside: bool = False) -> Positives:
    """Positions of pairs that are given by id.

    Args:
        pairs: {id of a query: ids of the items that answer it}, all of a benchmark.
        query_ids: of the split's queries, in order.
        item_ids: of the gallery, in order.
        count_outside: whether positives outside the gallery, which no ranking finds, count in R all the same.
    """
    row = {name: at for at, name in enumerate(query_ids)}
    column = {name: at for at, name in enumerate(item_ids)}
    found: list[tuple[int, list[int], int]] = []
    outside = 0
    for name, wanted in pairs.items():
        if name in row:
            several = set(wanted)
            here = sorted(column[one] for one in several if one in column)
            if here:
                found.append((row[name], here, len(several if count_outside else here)))
                outside += len(several) - len(here)
    found.sort()
    queries, number = (torch.tensor([one[at] for one in found], dtype=torch.int64) for at in (0, 2))
    return Positives(queries, padded([here for _, here, _ in found]), number, len(pairs) - len(found), outside)


def of_classes(query_class: Sequence[str], item_class: Sequence[str]) -> Positives:
    """Every item of a query's class answers it; a query without a class, or with none of its class here, is left out.

    Args:
        query_class: (Q) class of each query, empty where it has none.
        item_class: (G) likewise of the gallery.
    """
    members: dict[str, list[int]] = {}
    for at, name in enumerate(item_class):
        members.setdefault(name, []).append(at)
    members.pop("", None)
    asked = [at for at, name in enumerate(query_class) if name in members]
    names = list(members)
    number = {name: at for at, name in enumerate(names)}
    rows = torch.tensor([number[query_class[at]] for at in asked], dtype=torch.int64)
    items = padded([members[name] for name in names])[rows]
    queries = torch.tensor(asked, dtype=torch.int64)
    return Positives(queries, items, (items >= 0).sum(1), len(query_class) - len(asked))


def eccv_pairs() -> dict[str, Pairs]:
    """{"i2t": positives of 1,261 images, "t2i": of 1,332 captions} by COCO's ids; the two are annotated apart.

    Raises:
        UsageError: the package that holds them is not installed.
    """
    return _packaged("eccv")


def cxc_pairs() -> dict[str, Pairs]:
    """{"i2t": positives of 5,000 images, "t2i": of 24,972 captions} by COCO's ids: the pairs rated 3 or more.

    29 original pairs are rated below, so that 28 captions have no positive and ask nothing.

    Raises:
        UsageError: the package that holds them is not installed.
    """
    return _packaged("cxc")


def rated_pairs(folder: str | os.PathLike[str], own: Mapping[str, Sequence[str]]) -> dict[str, Pairs]:
    """{"i2t", "t2i", "i2i", "t2t": ...} from CxC's sits_test.csv, sis_test.csv and sts_test.csv, where a file is there.

    An image and a caption rated 3 or more answer each other, two images rated 2.5 or more, and two captions rated 3 or
    more; captions of one image always do.
    The ids are COCO's: "391895" of an image, "770337" of a caption.

    Args:
        folder: of the CSV files.
        own: {image: its captions}.

    Raises:
        UsageError: no such file is there.
        DataError: a file that cannot be read, or has other columns.
    """
    root = Path(folder).expanduser()
    found: dict[str, Pairs] = {}
    if (root / "sits_test.csv").is_file():
        rated = _rated(root / "sits_test.csv", ("image", "caption"), TEXTS_LEAST)
        found["i2t"] = _one_way(rated)
        found["t2i"] = _one_way((caption, image) for image, caption in rated)
    if (root / "sis_test.csv").is_file():
        found["i2i"] = _symmetric(_rated(root / "sis_test.csv", ("image1", "image2"), IMAGES_LEAST))
    if (root / "sts_test.csv").is_file():
        pairs = _rated(root / "sts_test.csv", ("caption1", "caption2"), TEXTS_LEAST)
        siblings = [(one, other) for several in own.values() for one in several for other in several if one != other]
        found["t2t"] = _symmetric([*pairs, *siblings])
    if not found:
        raise UsageError(f"{root} holds no sits_test.csv, sis_test.csv or sts_test.csv; give the data folder of CxC")
    return found


def packaged_files() -> Path:
    """Folder of the package's data.

    Raises:
        UsageError: it is not installed.
    """
    package = importlib.util.find_spec("eccv_caption")
    if package is None or package.origin is None:
        raise UsageError(
            "the positives of ECCV Caption and CxC are files of the package eccv_caption, which is not installed; "
            "get it with the extra 'eval': pip install 'raytrain[eval]'"
        )
    return Path(package.origin).parent / "data"


def _packaged(name: str) -> dict[str, Pairs]:
    found: dict[str, Pairs] = {}
    for direction, stem in (("i2t", "image_to_caption"), ("t2i", "caption_to_image")):
        path = packaged_files() / f"{name}_{stem}.json"
        try:
            pairs = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise DataError(Problem(str(path), None, f"not readable: {error}", "Install eccv_caption again.")) from None
        found[direction] = {str(key): [str(one) for one in several] for key, several in pairs.items()}
    return found


def _rated(path: Path, columns: tuple[str, str], least: float) -> list[tuple[str, str]]:
    """Pairs of COCO's ids with a rating of at least `least`."""
    fix = "Get the file again from the data folder of CxC."
    pairs, line = [], 1
    try:
        with open(path, encoding="utf-8", newline="") as file:
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


def _one_way(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one, other in pairs:
        found.setdefault(one, set()).add(other)
    return found


def _symmetric(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Both ways; nothing answers itself."""
    different = [(one, other) for one, other in pairs if one != other]
    return _one_way([*different, *((other, one) for one, other in different)])
