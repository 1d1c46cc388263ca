"""The built-in demo data of composed retrieval: Twemoji graphics that differ in one attribute, from installed packages.

Skin tone, gender, hair, direction and colour are read from the names of the package emoji: "red heart" and "green
heart" differ in colour, so ("red heart", "in green") asks for "green heart". Each such pair gives two triplets, one per
direction. Three in four triplets change the skin tone, so these are sampled. Families and splits are those of the
source `emoji`; a sign with a skin tone belongs to the family of the sign without one. The texts are templates: a toy,
like that source.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence

from raytrain.data.annotations.items import Item
from raytrain.data.annotations.records import SourceLocation
from raytrain.data.annotations.triplets import Query, to_tables
from raytrain.data.sources.emoji import (
    ATTRIBUTIONS,
    CREDIT,
    SKIN_TONES,
    code_of,
    families,
    graphics_of,
    packages,
    plain,
    splits_of,
)
from raytrain.data.table import Table
from raytrain.data.table.writer import TableWriter
from raytrain.errors import UsageError
from raytrain.progress import say

TEMPLATES = {
    "tone": ("with {} skin tone", "the same in {} skin tone", "change the skin tone to {}"),
    "gender": ("as a {}", "the same but a {}", "change it to a {}"),
    "hair": ("with {}", "the same but with {}", "change it to {}"),
    "direction": ("{} instead", "turned {}", "change the direction to {}"),
    "colour": ("in {}", "the same but {}", "change the colour to {}"),
}
_TONE = re.compile(r" (light|medium-light|medium|medium-dark|dark) skin tone")
_ONE = re.compile(r"\b(man|woman|person)\b")
_MANY = re.compile(r"\b(men|women|people)\b")
_SINGULAR = {"men": "man", "women": "woman", "people": "person"}
_HAIR = re.compile(r"\b(red hair|curly hair|white hair|blond hair|bald)\b")
_DIRECTION = re.compile(r"(?<!\w)((?:up|down)-(?:left|right)|left|right|up|down)(?!\w)")
_COLOUR = re.compile(r"\b(light blue|red|orange|yellow|green|blue|purple|brown|black|white|grey|pink)\b(?! hair)")


def build(out: str | os.PathLike[str], *, tone_share: float = 0.3) -> Table:
    """Builds the table of triplets: gallery = all graphics of the split with at most one skin tone, group = family.

    Args:
        out: folder of the new table.
        tone_share: largest share in [0, 1) of a split's triplets that change the skin tone.

    Raises:
        UsageError: a package is not installed, or tone_share is outside [0, 1).
    """
    if not 0 <= tone_share < 1:
        raise UsageError(f"tone_share is a share in [0, 1); given: {tone_share}")
    folder, names, _ = packages(most_tones=1)
    files = graphics_of(names, folder)
    signs = [sign for sign in names if files[sign].is_file()]
    family = families({sign: names[sign][0] for sign in signs if not SKIN_TONES & set(sign)})
    split = splits_of(family)
    bare = {sign.replace("\ufe0f", ""): sign for sign in family}
    base = {sign: bare.get("".join(c for c in sign if c not in SKIN_TONES and c != "\ufe0f")) for sign in signs}
    group = {sign: family[plain_sign] for sign, plain_sign in base.items() if plain_sign is not None}
    items = [Item(code_of(sign), f"{code_of(sign)}.png", split[name], [], name, CREDIT) for sign, name in group.items()]
    place = SourceLocation("packages", 0)
    queries = []
    for kind, source, target, text in triplets({sign: plain(names[sign][0]) for sign in group}):
        if split[group[source]] == split[group[target]]:
            reference, answer = code_of(source), code_of(target)
            name = f"{kind} {reference} {answer}"
            queries.append(Query(name, split[group[source]], reference, [text], [answer], place))
    queries = sample(queries, tone_share)
    source_facts = {"name": "emoji_triplets", "tone_share": tone_share, "attributions": list(ATTRIBUTIONS)}
    with TableWriter(out, source_facts) as writer:
        (writer.path / "images").mkdir()
        for sign in group:
            shutil.copyfile(files[sign], writer.path / "images" / f"{code_of(sign)}.png")
        writer.write(*to_tables(items, queries))
    for line in ATTRIBUTIONS:
        say(line)
    return Table(out)


def triplets(names: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    """(kind, source sign, target sign, text) for all ordered pairs of signs whose names differ in one attribute.

    Args:
        names: {sign: name}, such as "woman astronaut dark skin tone".
    """
    result = []
    for kind, templates in TEMPLATES.items():
        alike: dict[str, dict[str, str]] = {}
        for sign, name in names.items():
            for core, value in attribute(kind, name):
                alike.setdefault(core, {}).setdefault(value, sign)
        for core, by_value in alike.items():
            for start, source in by_value.items():
                for end, target in by_value.items():
                    if start != end:
                        # chosen by a hash, so that the wording does not depend on the order of the package
                        template = templates[_number(f"{core} {start} {end}") % len(templates)]
                        result.append((kind, source, target, template.format(end)))
    return result


def attribute(kind: str, name: str) -> list[tuple[str, str]]:
    """[(name without the attribute, its value)], or [] if the name states no attribute of that kind, or several.

    attribute("colour", "red heart") -> [("* heart", "red")]

    Args:
        kind: a key of TEMPLATES.
        name: of a sign, without colons and underscores.
    """
    if kind == "tone":
        tone = _TONE.search(name)
        return [(_TONE.sub("", name), tone[1] if tone else "plain yellow")]
    if kind == "gender":
        for pattern, sign in ((_ONE, "*"), (_MANY, "**")):
            values = pattern.findall(name)
            if values:
                return [(pattern.sub(sign, name), _SINGULAR.get(values[0], values[0]))] if len(values) == 1 else []
        return [(f"* {name}", "person")]  # "astronaut", next to "woman astronaut"
    if kind == "direction":
        if " facing right" in name:
            return [(name.replace(" facing right", ""), "right")]
        values = _DIRECTION.findall(name)
        if len(values) == 1:
            return [(_DIRECTION.sub("*", name), values[0])]
        return [] if values else [(name, "left")]  # graphics of movement face left unless the name says otherwise
    pattern = _HAIR if kind == "hair" else _COLOUR
    values = pattern.findall(name)
    return [(pattern.sub("*", name), values[0])] if len(values) == 1 else []


def sample(queries: Sequence[Query], tone_share: float) -> list[Query]:
    """The queries without those that exceed the share of tones in each split; hashes of their ids decide which stay."""
    kept = []
    for split in dict.fromkeys(query.split for query in queries):
        in_split = [query for query in queries if query.split == split]
        tones = [query for query in in_split if query.id.startswith("tone ")]
        rest = [query for query in in_split if not query.id.startswith("tone ")]
        tones.sort(key=lambda query: _number(query.id))
        kept += [*rest, *tones[: int(len(rest) * tone_share / (1 - tone_share))]]
    return kept


def _number(text: str) -> int:
    """A number in [0, 2^64) from the text's hash."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
