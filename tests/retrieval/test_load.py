"""A run becomes a Retriever whose embeddings of raw rows of a table are those of an evaluation."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import raytrain
from raytrain.data.images import decode
from raytrain.data.table import QuerySplit, Table, open_split
from raytrain.errors import DataError, RefusedError, UsageError
from raytrain.retrieval import Retriever
from raytrain.retrieval.load import load
from raytrain.retrieval.runs import finished_run
from raytrain.scoring.embed import embed_split
from raytrain.training.run import load_run
from tests.retrieval.runs import RUNS, trained


def raw_rows(table: Table, split: str) -> tuple[list[str], list[Path]]:
    """The captions and the image files of a split."""
    rows = table.split(split)
    files = table.items["file"].take(rows.items).to_pylist()
    return table.texts["text"].take(rows.texts).to_pylist(), [Path(str(table.image_root)) / file for file in files]


@pytest.mark.parametrize("name", list(RUNS))
def test_raw_texts_and_images_are_embedded_as_an_evaluation_embeds_their_rows(
    name: str, pictures: Table, run_of: Callable[[str], Path]
) -> None:
    folder = run_of(name)
    model, feed, _ = load_run(folder)
    query, gallery = embed_split(model, pictures.split("val"), feed, torch.device("cpu"))
    texts, files = raw_rows(pictures, "val")
    retriever = raytrain.load(folder, device="cpu")
    torch.testing.assert_close(retriever.encode_text(texts), query, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(retriever.encode_image(files, batch_size=3), gallery, rtol=1e-4, atol=1e-5)


def test_models_that_train_with_the_method_are_those_of_the_checkpoint(
    pictures: Table, run_of: Callable[[str], Path]
) -> None:
    folder = run_of("trained backbones")
    model, feed, _ = load_run(folder)
    query, gallery = embed_split(model, pictures.split("val"), feed, torch.device("cpu"))
    texts, files = raw_rows(pictures, "val")
    retriever = load(folder, device="cpu")
    torch.testing.assert_close(retriever.encode_text(texts), query, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(retriever.encode_image(files), gallery, rtol=1e-4, atol=1e-5)
    pad = retriever.images.pad  # type: ignore[attr-defined]
    assert pad == 1.1


def test_composed_queries_are_embedded_as_an_evaluation_embeds_them(
    triplets: Table, composed_run: Path, composed_retriever: Retriever
) -> None:
    model, feed, _ = load_run(composed_run)
    split = open_split(triplets, "val")
    assert isinstance(split, QuerySplit)
    query, gallery = embed_split(model, split, feed, torch.device("cpu"))
    root = Path(str(triplets.image_root))
    files = [root / file for file in triplets.items["file"].take(split.items).to_pylist()]
    texts = triplets.texts["text"].take(split.text).to_pylist()
    references = [decode(files[place]) for place in split.reference]
    embedded = composed_retriever.encode_composed(references, texts)
    torch.testing.assert_close(embedded, query, rtol=1e-4, atol=1e-5)
    as_bytes = composed_retriever.encode_image([file.read_bytes() for file in files])
    torch.testing.assert_close(as_bytes, gallery, rtol=1e-4, atol=1e-5)


def test_features_in_half_precision_are_rounded_as_those_of_the_table(models: Path, tmp_path: Path) -> None:
    from tests.retrieval.runs import encoded

    table = encoded(tmp_path / "table", models, "float16")
    folder = trained(table, tmp_path)
    retriever = load(folder, device="cpu")
    _, files = raw_rows(table, "val")
    regions = retriever.images.read([decode(file) for file in files])["regions"]
    np.testing.assert_array_equal(regions, regions.half().float())
    stored = table.array("vit")[table.split("val").items]
    np.testing.assert_allclose(regions, stored, rtol=2e-3, atol=1e-4)


def test_a_run_that_has_not_ended_well_is_refused(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    lines = (copy / "journal.jsonl").read_text().splitlines()
    (copy / "journal.jsonl").write_text("\n".join(line for line in lines if json.loads(line)["event"] != "end") + "\n")
    with pytest.raises(RefusedError, match="has not finished"):
        load(copy)
    with pytest.raises(UsageError, match="not the folder of a run"):
        load(tmp_path)
    with pytest.raises(UsageError, match="give its run"):
        load(next(run.glob("checkpoint_*")))
    assert finished_run(run).status == "finished"


def test_a_device_that_is_not_there_is_an_error_in_one_line(run: Path) -> None:
    for device in ("gpu", *([] if torch.cuda.is_available() else ["cuda"])):
        with pytest.raises(UsageError, match=f"no device '{device}'"):
            load(run, device=device)


def test_a_moved_table_is_named_anew(run: Path, pictures: Table, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    pictures.path.rename(moved)
    try:
        with pytest.raises(DataError, match="not found"):
            load(run)
        assert load(run, table=moved).home is not None
    finally:
        moved.rename(pictures.path)
