"""An exported folder alone gives the embeddings and the answers of its run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import raytrain
from raytrain.data.table import Table
from raytrain.errors import DataError, UsageError
from raytrain.retrieval import Retriever
from raytrain.retrieval.load import load
from raytrain.retrieval.portable.manifest import write_manifest
from raytrain.retrieval.portable.write import write_portable
from raytrain.retrieval.runs import open_run
from tests.retrieval.runs import MORE_RUNS, RUNS, encoded, trained
from tests.retrieval.test_load import raw_rows

NAMES = [*RUNS, *MORE_RUNS, "trained backbones"]


@pytest.mark.parametrize("name", NAMES)
def test_an_export_embeds_as_its_run(
    name: str, pictures: Table, run_of: Callable[[str], Path], export_of: Callable[[str], Path]
) -> None:
    run, export = load(run_of(name), device="cpu"), raytrain.load(export_of(name), device="cpu")
    texts, files = raw_rows(pictures, "val")
    query, gallery = export.encode_text(texts), export.encode_image(files)
    torch.testing.assert_close(query, run.encode_text(texts), rtol=0, atol=0)
    torch.testing.assert_close(gallery, run.encode_image(files), rtol=0, atol=0)
    torch.testing.assert_close(export.similarity(query, gallery), run.similarity(query, gallery), rtol=0, atol=0)
    assert export.notes == []


def test_an_export_of_composed_retrieval_composes_as_its_run(
    composed_run: Path, composed_retriever: Retriever, triplets: Table, tmp_path: Path
) -> None:
    export = load(write_portable(open_run(composed_run, torch.device("cpu")), tmp_path / "model"), device="cpu")
    root = Path(str(triplets.image_root))
    files = [root / file for file in triplets.items["file"].to_pylist()[:3]]
    texts = triplets.texts["text"].to_pylist()[:3]
    expected = composed_retriever.encode_composed(files, texts)
    torch.testing.assert_close(export.encode_composed(files, texts), expected, rtol=0, atol=0)
    with pytest.raises(UsageError, match="changes it"):
        export.encode_text(texts)


def test_run_table_and_backbones_may_be_gone(models: Path, tmp_path: Path) -> None:
    """Everything but the export and one photo is removed before the export is opened."""
    copies = tmp_path / "models"
    shutil.copytree(models, copies)
    table = encoded(tmp_path / "table", copies)
    folder = trained(table, tmp_path / "runs")
    texts, files = raw_rows(table, "val")
    run = load(folder, device="cpu")
    expected = run.encode_text(texts), run.encode_image(files[:1])
    export = write_portable(open_run(folder, torch.device("cpu")), tmp_path / "export")
    photo = Path(shutil.copy(files[0], tmp_path / "photo.png"))
    for gone in (copies, tmp_path / "table", tmp_path / "table_files", tmp_path / "runs"):
        shutil.rmtree(gone)
    moved = load(shutil.move(export, tmp_path / "elsewhere"), device="cpu")
    torch.testing.assert_close(moved.encode_text(texts), expected[0], rtol=0, atol=0)
    torch.testing.assert_close(moved.encode_image([photo]), expected[1], rtol=0, atol=0)
    gallery = moved.gallery_of_images([photo])
    assert [hit.id for hit in moved.search("a dog", gallery=gallery)] == [str(photo)]
    with pytest.raises(UsageError, match="came without its table"):
        moved.search("a dog")
    assert str(tmp_path) not in (tmp_path / "elsewhere" / "config.json").read_text()


def test_a_table_by_its_path_is_searched_as_by_the_run(
    run: Path, retriever: Retriever, pictures: Table, with_gallery: Path
) -> None:
    export = load(with_gallery, device="cpu")
    gallery = export.gallery(pictures.path)
    expected = [(hit.id, hit.score, hit.item_view) for hit in retriever.search("a dog on grass", 5)]
    assert [
        (hit.id, hit.score, hit.item_view) for hit in export.search("a dog on grass", 5, gallery=gallery)
    ] == expected
    with pytest.raises(UsageError, match="needs no table"):
        load(with_gallery, table=pictures.path)


def test_the_gallery_that_came_with_a_model_is_searched_without_a_table(
    retriever: Retriever, pictures: Table, with_gallery: Path
) -> None:
    export = load(with_gallery, device="cpu")
    _, files = raw_rows(pictures, "val")
    for query in ({"text": "a cat"}, {"image": files[0]}):
        expected = [(hit.id, hit.score, hit.text, hit.file) for hit in retriever.search(k=4, **query)]
        assert [(hit.id, hit.score, hit.text, hit.file) for hit in export.search(k=4, **query)] == expected


def damaged(export: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(export, tmp_path / "damaged"))


def test_damage_is_found_before_anything_is_read(with_gallery: Path, tmp_path: Path) -> None:
    copy = damaged(with_gallery, tmp_path)
    for name in ("model.safetensors", "gallery/embeddings.npy"):
        (copy / name).write_bytes((copy / name).read_bytes()[:-1] + b"\0")
    (copy / "backbones" / "vit" / "more.json").write_text("{}")
    with pytest.raises(DataError) as caught:
        load(copy)
    assert [Path(problem.file).name for problem in caught.value.problems] == [
        "embeddings.npy", "model.safetensors", "more.json",
    ]  # fmt: skip
    (copy / "manifest.json").unlink()
    with pytest.raises(DataError, match=r"manifest\.json: missing"):
        load(copy)


def test_a_manifest_that_leaves_the_folder_is_refused(with_gallery: Path, tmp_path: Path) -> None:
    copy = damaged(with_gallery, tmp_path)
    (copy / "manifest.json").write_text(json.dumps({"files": {"../other.json": "0" * 64}}))
    with pytest.raises(DataError, match="no path inside the folder"):
        load(copy)


def test_weights_of_another_model_are_refused(with_gallery: Path, tmp_path: Path) -> None:
    copy = damaged(with_gallery, tmp_path)
    weights = load_file(copy / "model.safetensors")
    weights.pop(next(iter(weights)))
    save_file(weights, copy / "model.safetensors")
    write_manifest(copy)
    with pytest.raises(DataError, match="no weights of this model"):
        load(copy)


def test_files_beside_those_of_the_manifest_are_left_alone(with_gallery: Path, tmp_path: Path) -> None:
    copy = damaged(with_gallery, tmp_path)
    (copy / "README.md").write_text("A card that its owner has changed.")
    assert load(copy, device="cpu").search("a dog", 1)
