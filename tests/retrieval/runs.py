"""Runs on tables of pictures and sentences, encoded by tiny random models that the test saves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from raytrain.data.build import build
from raytrain.data.encode.encode import encode
from raytrain.data.table import Table
from raytrain.training.run import train
from tests.data.pictures import entry, karpathy
from tests.data.triplets import products
from tests.encoders import tiny_models
from tests.runs import tiny

SPLITS = ("train", "train", "val", "test") * 4
SENTENCES = ("a dog runs on grass .", "a cat .", "dog on grass", "cat runs", "a dog and a cat")


def encoded(path: Path, models: Path, dtype: str = "float32", composed: bool = False) -> Table:
    """A table of 16 pictures with two captions each, or of composed queries, with the features "vit" and "bert".

    Args:
        path: of the table; its files are beside it.
        models: folder with vit/ and bert/.
        dtype: of the features.
    """
    if composed:
        table = build("products", products(path.with_name(f"{path.name}_files")), path)
    else:
        entries = []
        for number, split in enumerate(SPLITS):
            texts = [SENTENCES[(number + k) % len(SENTENCES)] + f" {number % 3}" * k for k in range(2)]
            sentences = [{"raw": text, "sentid": 2 * number + k} for k, text in enumerate(texts)]
            entries.append(entry(number, split, sentences=sentences))
        table = build("karpathy", karpathy(path.with_name(f"{path.name}_files"), entries), path)
    for backbone in ("vit", "bert"):
        encode(table.path, str(models / backbone), dtype=dtype, progress=None)
    return Table(table.path)


def models(folder: Path) -> Path:
    """The folder with a tiny vit/ and bert/."""
    tiny_models.vit(folder / "vit")
    tiny_models.bert(folder / "bert")
    return folder


def trained(table: Table, storage: Path, **changes: Any) -> Path:
    """The folder of a finished run of one step; `changes` as in `tests.runs.tiny`."""
    settings: dict[str, Any] = {
        "data__image_features": "vit", "data__text_features": "bert", "optim__batch_size": 4, "optim__num_epochs": 1,
        "optim__max_steps": 1, **changes,
    }  # fmt: skip
    config = tiny(table, storage, **settings)
    train(config)
    return config.folder
