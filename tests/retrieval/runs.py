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

SPLITS = ("train", "train", "val", "test")
BIGRU: dict[str, Any] = {"encoder__text__kind": "bigru", "data__text_features": None}
TWO_ENCODERS: dict[str, Any] = {"data__image_features": "vit,wide_vit"}
RUNS: dict[str, dict[str, Any]] = {
    "dvse over token states": {},
    "dvse over the global regions of two encoders": {"data__regions": "global", **TWO_ENCODERS},
    "dive over words": {"method__kind": "dive", "method__views": 2, "method__heads": 1, **BIGRU},
    "vse_infinity over words, cut": {"method__kind": "vse_infinity", "data__max_words": 4, **BIGRU},
    "pcmepp over two encoders and token states, cut": {"method__kind": "pcmepp", "data__max_words": 4, **TWO_ENCODERS},
    "scan over token states": {"method__kind": "scan"},
}
MORE_RUNS: dict[str, dict[str, Any]] = {
    "dvse over words": BIGRU,
    "dive over token states": {"method__kind": "dive", "method__views": 2, "method__heads": 1},
    "vsepp over words": {"method__kind": "vsepp", **BIGRU},
    "maxmatch over token states": {"method__kind": "maxmatch", "method__views": 2, "method__heads": 1},
    "mv_vse over words": {"method__kind": "mv_vse", "method__views": 2, **BIGRU},
    "pvse over words": {"method__kind": "pvse", "method__views": 2, **BIGRU},
    "pvse over token states": {"method__kind": "pvse", "method__views": 2},
    "pcme over words": {"method__kind": "pcme", **BIGRU},
    "sgraf over token states": {"method__kind": "sgraf"},
    "naaf over token states": {"method__kind": "naaf", "method__sample_words": 2},
    "vsrn over words": {"method__kind": "vsrn", "method__caption_weight": 1.0, **BIGRU},
}
"""Further runs that every form of an exported model is tried with."""
SENTENCES = ("a dog runs on grass .", "a cat .", "dog on grass", "cat runs", "a dog and a cat")


def encoded(path: Path, models: Path, dtype: str = "float32", composed: bool = False, count: int = 16) -> Table:
    """A table of pictures with two captions each, or of composed queries, with the features "vit" and "bert".

    Args:
        path: of the table; its files are beside it.
        models: folder with vit/ and bert/.
        dtype: of the features.
        count: of pictures with captions.
    """
    if composed:
        table = build("products", products(path.with_name(f"{path.name}_files")), path)
    else:
        entries = []
        for number in range(count):
            split = SPLITS[number % len(SPLITS)]
            texts = [SENTENCES[(number + k) % len(SENTENCES)] + f" {number % 3}" * k for k in range(2)]
            sentences = [{"raw": text, "sentid": 2 * number + k} for k, text in enumerate(texts)]
            entries.append(entry(number, split, sentences=sentences))
        table = build("karpathy", karpathy(path.with_name(f"{path.name}_files"), entries), path)
    for backbone in ("vit", "bert"):
        encode(table.path, str(models / backbone), dtype=dtype, progress=None)
    return Table(table.path)


def models(folder: Path) -> Path:
    """The folder with a tiny vit/, wide_vit/ and bert/."""
    tiny_models.vit(folder / "vit")
    tiny_models.vit(folder / "wide_vit", 24)
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


def trains(models: Path) -> dict[str, Any]:
    """Changes of a run whose image backbone and text model train with the method."""
    return {
        "encoder__image": {"kind": "transformer", "path": str(models / "vit"), "target_pad": 1.1},
        "encoder__text": {"kind": "transformer", "path": str(models / "bert")},
    }
