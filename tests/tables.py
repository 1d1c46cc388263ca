"""Small tables made in the test: random features around one hidden vector an image, so that a method can learn them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from raytrain.data.table import Table
from raytrain.data.table.schema import ITEMS, QUERIES, TEXTS
from raytrain.data.table.writer import TableWriter, add_feature

WORDS = ["red", "blue", "green", "dog", "cat", "bird", "runs", "sleeps", "jumps", "on", "grass", "sand"]


def make_table(
    path: Path,
    items: int = 24,
    texts_per_item: int = 5,
    regions: int = 5,
    features: int = 16,
    token_features: int = 12,
    seed: int = 0,
    ragged: bool = False,
    noise: float = 0.5,
) -> Table:
    """A table with image feature "lite0", text feature "minilm" and words; half train, a quarter val and test.

    `noise`: standard deviation around what an image and its captions share.
    `ragged`: images have one caption, two, and so on up to `texts_per_item`, then one again.
    """
    random = np.random.default_rng(seed)
    hidden = random.standard_normal((items, 6))
    split = ["train" if i % 4 < 2 else "val" if i % 4 == 2 else "test" for i in range(items)]
    item_rows = [[f"i{i}", f"{i}.jpg", split[i], f"g{i % 3}", ""] for i in range(items)]
    counts = 1 + np.arange(items) % texts_per_item if ragged else np.full(items, texts_per_item)
    item_of = np.repeat(np.arange(items), counts)
    words = [[WORDS[w] for w in random.integers(0, len(WORDS), random.integers(3, 8))] for _ in item_of]
    text_rows = [[f"t{t}", int(item_of[t]), " ".join(words[t]), words[t]] for t in range(len(words))]
    lengths = np.array([len(w) + 2 for w in words])
    to_image = random.standard_normal((6, features))
    to_text = random.standard_normal((6, token_features))
    with TableWriter(path, source={"name": "made up", "seed": seed}) as writer:
        writer.write(_arrow(item_rows, ITEMS), _arrow(text_rows, TEXTS))
        with writer.array("lite0", "image", (items, regions, features), "float16", {"backbone": "made up"}) as rows:
            rows[...] = (hidden @ to_image)[:, None] + noise * random.standard_normal((items, regions, features))
        shape = (int(lengths.sum()), token_features)
        owner = np.repeat(item_of, lengths)
        with writer.array("minilm", "text", shape, "float16", {"backbone": "made up"}) as rows:
            rows[...] = (hidden @ to_text)[owner] + noise * random.standard_normal(shape)
        np.save(writer.path / "features" / "minilm.offsets.npy", np.concatenate([[0], lengths.cumsum()]))
    return Table(path)


def add_images(table: Table, name: str, shape: tuple[int, ...], dtype: str = "float16", **encoder: Any) -> Table:
    """The table with one more image feature of random numbers; `shape` is (R, F)."""
    random, path = np.random.default_rng(len(name)), table.path / "features" / f".{name}.npy"
    np.save(path, random.standard_normal((len(table.items), *shape)).astype(dtype))
    add_feature(table, name, "image", {"backbone": "made up", **encoder}, {".npy": path})
    return table


def redescribe(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes a table's table.json, which then has no checksum, as an earlier version would have written it."""
    path = folder / "table.json"
    description = json.loads(path.read_text(encoding="utf-8"))
    change(description)
    description.pop("checksum", None)
    path.write_text(json.dumps(description), encoding="utf-8")


def make_query_table(path: Path, bases: int = 5, features: int = 16, token_features: int = 12, seed: int = 0) -> Table:
    """A table of composed queries: "that thing in this colour", which two items of each split answer.

    A split has `bases` things in three colours, two of each; every item asks for its two other colours.
    """
    random = np.random.default_rng(seed)
    things, colours = random.standard_normal((bases, 8)), random.standard_normal((3, 8))
    item_rows: list[list[object]] = []
    text_rows: list[list[object]] = []
    query_rows: list[list[object]] = []
    hidden, asked = [], []
    for split in ("train", "val", "test"):
        first = len(item_rows)
        places = [(thing, colour) for thing in range(bases) for colour in range(3) for _ in range(2)]
        for thing, colour in places:
            row = len(item_rows)
            item_rows.append([f"i{row}", f"{row}.jpg", split, f"g{thing}", ""])
            hidden.append(things[thing] + colours[colour])
            for wanted in {0, 1, 2} - {colour}:
                right = [first + at for at, place in enumerate(places) if place == (thing, wanted)]
                query_rows.append([f"q{len(query_rows)}", split, row, len(text_rows), 2, right, []])
                for words in (["in", WORDS[wanted]], [WORDS[wanted], "please"]):
                    text_rows.append([f"t{len(text_rows)}", row, " ".join(words), words])
                    asked.append(colours[wanted])
    to_image = random.standard_normal((8, features))
    to_text = random.standard_normal((8, token_features))
    with TableWriter(path, source={"name": "made up", "seed": seed}) as writer:
        writer.write(_arrow(item_rows, ITEMS), _arrow(text_rows, TEXTS), _arrow(query_rows, QUERIES))
        shape = (len(item_rows), 3, features)
        with writer.array("lite0", "image", shape, "float16", {"backbone": "made up", "global_index": 2}) as rows:
            rows[...] = (np.array(hidden) @ to_image)[:, None] + 0.2 * random.standard_normal(shape)
        states = np.repeat(np.array(asked) @ to_text, 2, 0)
        with writer.array("minilm", "text", states.shape, "float16", {"backbone": "made up"}) as rows:
            rows[...] = states + 0.2 * random.standard_normal(states.shape)
        np.save(writer.path / "features" / "minilm.offsets.npy", 2 * np.arange(len(text_rows) + 1))
    return Table(path)


def _arrow(rows: list[list[object]], schema: pa.Schema) -> pa.Table:
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), schema, strict=True)],
        schema=schema,
    )
