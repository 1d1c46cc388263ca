"""CUB Captions: photos of 200 bird species with ten captions per photo, split by species.

    CUB_200_2011/images/001.Black_footed_Albatross/Black_Footed_Albatross_0001_796111.jpg
    text_c10/001.Black_footed_Albatross/Black_Footed_Albatross_0001_796111.txt    one caption per line
    trainvalclasses.txt, testclasses.txt     150 and 50 species
    valclasses1.txt, trainclasses1.txt       50 and 100 of the 150, and likewise 2 and 3
    seen_test_images.txt                     photos of the 150 species that are never trained on

or, instead of text_c10 and the lists, one dataset_*.json:

    {"images": [{"filename": "001.Black_footed_Albatross/....jpg", "cls": 1, "split": "train" or "test",
                 "sentences": [{"raw", "sentid"}, ...]}, ...]}

Photos: Wah et al., 2011; captions: Reed et al., CVPR 2016; species of the splits and the seen test: Chun et al., CVPR
2021 (PCME). A caption often describes the whole species, so an item's group is its species.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from raytrain.data.annotations.caption_text import caption_of
from raytrain.data.annotations.items import Item, open_image_root, present_images, to_arrow
from raytrain.data.annotations.json_files import read_json
from raytrain.data.annotations.layouts import Layout, layout_of
from raytrain.data.annotations.placement import with_listed_images
from raytrain.data.annotations.records import SourceLocation
from raytrain.data.paths import contained, files_below
from raytrain.data.problems import Problems
from raytrain.data.table import Table
from raytrain.data.table.coverage import Missing
from raytrain.data.table.schema import SPLITS
from raytrain.data.table.writer import TableWriter
from raytrain.errors import DataError, Problem, UsageError
from raytrain.files import read_text

FOLDS = 3
SEEN_EVERY = 5  # without seen_test_images.txt: gives 1,745 photos, the published list has 1,764
_NUMBERED = re.compile(r"\d{3}\.")
_LIST_FIX = "Correct the list."


@dataclass
class Birds:
    """The annotations of either layout.

    Args:
        items: without a split.
        places: {item id: place of its annotation}.
        side: {species: "train" or "test"}.
        own_lists: whether lists that are absent are made by rule, since the layout has none.
    """

    items: list[Item]
    places: dict[str, SourceLocation]
    side: dict[str, str]
    own_lists: bool


def build(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    fold: int = 0,
    images: str = "CUB_200_2011/images",
    captions: str = "text_c10",
    allow_missing: float = 0.0,
) -> Table:
    """Builds the table of CUB Captions; the photos stay where they are. The 50 test species are the test split.

    Args:
        root: folder of the captions, the lists or JSON, and the photos.
        out: folder of the new table.
        fold: 0 trains on all 150 species and validates on the photos of seen_test_images.txt; 1, 2 and 3 hold out 50 of
            the 150 species for validation, and leave out the seen test photos of the others.
        images: folder of the photos; relative to root, absolute, or a URL.
        captions: folder of the captions, relative to root or absolute.
        allow_missing: share of the photos in [0, 1] that may be absent; they are listed in table.json.

    Raises:
        DataError: all problems of the files at once.
        UsageError: an option outside its range.
    """
    if fold not in range(FOLDS + 1):
        raise UsageError(f"fold is 0 (all species train), 1, 2 or 3; given: {fold}")
    missing = Missing(allow_missing)
    folder, problems = Path(root).expanduser().resolve(), Problems()
    image_root = open_image_root(images, folder)
    birds = _annotated(folder, folder / captions, problems)
    held_out = _held_out(folder, fold, birds, problems) if fold else set()
    seen = _seen(folder, birds, problems)
    items, left_out = [], 0
    for item in birds.items:
        split = birds.side.get(item.group, "")
        if item.group in held_out or (item.file in seen and not fold):
            split = "val"
        elif item.file in seen:
            left_out += 1
            continue
        items.append(replace(item, split=split))
    present = present_images(items, birds.places, image_root, missing, problems)
    problems.raise_if_any()
    if not present:
        raise DataError(Problem(str(image_root), None, "no photo of the annotations is there", "Check images=FOLDER."))
    source = {
        "name": "cub",
        "fold": fold,
        "seen_left_out": left_out,
        "lists": "by rule where the files are missing" if birds.own_lists else "published",
        "classes": {name: len({item.group for item in present if item.split == name}) for name in SPLITS},
    }
    with TableWriter(out, source, image_root=image_root, missing=missing) as writer:
        writer.write(*to_arrow(sorted(present, key=lambda item: item.file)))
    return Table(out)


def _annotated(folder: Path, captions: Path, problems: Problems) -> Birds:
    """The annotations of the only dataset_*.json, or else of the caption files."""
    json_files = sorted(folder.glob("dataset_*.json"))
    if len(json_files) == 1:
        return _from_json(json_files[0], problems)
    if json_files or not captions.is_dir():
        what = f"{len(json_files)} dataset_*.json" if json_files else f"neither {captions.name}/ nor a dataset_*.json"
        raise DataError(Problem(str(folder), None, what, "Give a folder with one of the two."))
    return _from_files(folder, captions, problems)


def _from_json(path: Path, problems: Problems) -> Birds:
    fix = "Correct the entry of 'images'."
    entries = read_json(path, dict, "Write an object with a list under 'images'.").get("images")
    if not isinstance(entries, list) or not entries:
        raise DataError(Problem(str(path), None, "no list under 'images'", "Get the file again."))
    birds = Birds([], {}, {}, own_lists=True)
    for row, entry in enumerate(entries):
        place = SourceLocation(str(path), row)
        entry = entry if isinstance(entry, Mapping) else {}
        file, side, number = str(entry.get("filename", "")), entry.get("split"), entry.get("cls")
        species = _species(file)
        if not species:
            problems.add("filename", place.problem(f"filename {file!r}, expected 001.Species/photo.jpg", fix))
            continue
        if file in birds.places:
            problems.add("repeated", place.problem(f"{file} appears twice", fix))
            continue
        if side not in ("train", "test"):
            problems.add("split", place.problem(f"{file}: split {side!r}, allowed are train, test", fix))
        elif birds.side.setdefault(species, side) != side:
            what = f"{file}: {species} is in {side} here and in {birds.side[species]} before"
            problems.add("side", place.problem(what, fix))
        if number is not None and number != int(species[:3]):
            what = f"{file}: class {number}, but its folder says {int(species[:3])}"
            problems.add("cls", place.problem(what, fix))
        texts = _texts(entry.get("sentences"), file)
        if not texts:
            problems.add("captions", place.problem(f"{file}: no caption", fix))
        birds.items.append(Item(file, file, "", texts, group=species))
        birds.places[file] = place
    _unique_texts(birds, problems)
    return birds


def _from_files(folder: Path, captions: Path, problems: Problems) -> Birds:
    birds = Birds([], {}, {}, own_lists=False)
    for side, name in (("train", "trainvalclasses.txt"), ("test", "testclasses.txt")):
        for line, species in _lines(folder / name):
            place = SourceLocation(str(folder / name), line)
            if not _NUMBERED.match(species) or "/" in species:
                what = f"{species!r}, expected a folder such as 001.Black_footed_Albatross"
                problems.add("species", place.problem(what, _LIST_FIX))
            elif birds.side.setdefault(species, side) != side:
                problems.add("side", place.problem(f"{species} is among the training species too", _LIST_FIX))
            elif not contained(captions, species).is_dir():
                problems.add("folder", place.problem(f"no folder {captions / species}", _LIST_FIX))
            else:
                _read_species(captions, species, birds, problems)
    return birds


def _read_species(captions: Path, species: str, birds: Birds, problems: Problems) -> None:
    """Adds the photos of one species, each with the captions of its file, to `birds`."""
    for caption_file in sorted(contained(captions, species).glob("*.txt")):
        file = f"{species}/{caption_file.stem}.jpg"
        if file in birds.places:
            continue  # the species is listed twice
        path = contained(captions, f"{species}/{caption_file.name}")
        texts = _texts([{"raw": text} for _, text in _lines(path)], file)
        if not texts:
            problems.add("captions", Problem(str(path), None, "no caption", "Get the file again."))
        birds.items.append(Item(file, file, "", texts, group=species))
        birds.places[file] = SourceLocation(str(path), None)


def _held_out(folder: Path, fold: int, birds: Birds, problems: Problems) -> set[str]:
    """The species held out for validation: those of valclassesN.txt, or every third training species."""
    training = sorted(species for species, side in birds.side.items() if side == "train")
    path = folder / f"valclasses{fold}.txt"
    if birds.own_lists and not path.exists():
        return set(training[fold - 1 :: FOLDS])
    held = {}
    for line, species in _lines(path):
        held[species] = line
        if species not in training:
            what = f"{species} is not one of the {len(training)} training species"
            problems.add("held out", Problem(str(path), line, what, _LIST_FIX))
    rest = folder / f"trainclasses{fold}.txt"
    for line, species in _lines(rest) if rest.exists() else ():
        if species in held or species not in training:
            what = f"{species} is {'held out too' if species in held else 'not a training species'}"
            problems.add("rest", Problem(str(rest), line, what, _LIST_FIX))
    return set(held)


def _seen(folder: Path, birds: Birds, problems: Problems) -> set[str]:
    """Files of the seen test photos: those of seen_test_images.txt, or every fifth photo of each training species."""
    path = folder / "seen_test_images.txt"
    training = sorted(item.file for item in birds.items if birds.side.get(item.group) == "train")
    if birds.own_lists and not path.exists():
        count: Counter[str] = Counter()
        chosen = set()
        for file in training:
            count[_species(file)] += 1
            if count[_species(file)] % SEEN_EVERY == 0:
                chosen.add(file)
        return chosen
    training_files, seen = set(training), set()
    for line, file in _lines(path):
        seen.add(file)
        if file not in training_files:
            what = f"{file} is no photo of a training species"
            problems.add("seen", Problem(str(path), line, what, _LIST_FIX))
    return seen


def _species(file: str) -> str:
    """The species of a file "001.Species/photo.jpg"; "" for another form."""
    path = PurePosixPath(file)
    return path.parts[0] if len(path.parts) == 2 and _NUMBERED.match(path.parts[0]) else ""


def _texts(sentences: Any, file: str) -> list[tuple[str, str]]:
    """(id, caption) of each non-empty sentence, without U+FFFD, which some published captions contain."""
    captions = []
    for number, sentence in enumerate(sentences if isinstance(sentences, list) else []):
        raw = sentence.get("raw") if isinstance(sentence, Mapping) else None
        text = caption_of(raw.replace("\ufffd", " ")) if isinstance(raw, str) else ""
        if text:
            captions.append((str(sentence.get("sentid", f"{file}#{number}")), text))
    return captions


def _unique_texts(birds: Birds, problems: Problems) -> None:
    """Adds caption ids that two photos have to the problems."""
    first: dict[str, str] = {}
    for item in birds.items:
        for name, _ in item.texts:
            if first.setdefault(name, item.id) != item.id:
                what = f"caption id {name!r} appears twice"
                problems.add("sentid", birds.places[item.id].problem(what, "Make ids unique."))


def _lines(path: Path) -> list[tuple[int, str]]:
    """(line number from 1, text) of each non-empty line; DataError if the file cannot be read."""
    try:
        lines = read_text(path).split("\n")
    except FileNotFoundError:
        raise DataError(Problem(str(path), None, "not found", "Put the published file there.")) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(Problem(str(path), None, f"not readable: {error}", "Get the file again, in UTF-8.")) from None
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def looks_like(root: Path) -> Layout | None:
    """The layout of a folder with text_c10/ or a dataset_*.json of CUB; None for another folder."""
    photos = "CUB_200_2011/images"
    options = {} if (root / photos).is_dir() or not (root / "images").is_dir() else {"images": "images"}
    folder = f"{options.get('images', photos)}/"
    lists = ["seen_test_images.txt", *(f"valclasses{fold}.txt" for fold in range(1, FOLDS + 1))]
    if (root / "text_c10").is_dir():
        layout = layout_of(
            root, ["trainvalclasses.txt", "testclasses.txt", lists[0], folder], ["text_c10/*", *lists[1:]], options, 0
        )
        captions = (path.relative_to(root / "text_c10") for path in files_below(root / "text_c10"))
        photos_named = (path.with_suffix(".jpg").as_posix() for path in captions if path.suffix == ".txt")
        return with_listed_images(layout, root / folder, photos_named)
    for path in sorted(root.glob("dataset_*.json")):
        try:
            entries = read_json(path, dict, "").get("images")
        except DataError:
            continue
        first = entries[0] if isinstance(entries, list) and entries else None
        if isinstance(first, Mapping) and "cls" in first and _species(str(first.get("filename", ""))):
            names = (str(entry.get("filename", "")) for entry in entries if isinstance(entry, Mapping))
            return with_listed_images(layout_of(root, [path.name, folder], lists, options), root / folder, names)
    return None
