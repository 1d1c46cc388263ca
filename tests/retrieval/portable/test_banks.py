"""Inductive re-ranking by a bank that travels with the model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from raytrain.data.table import Table
from raytrain.errors import UsageError
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.retrieval.load import load
from raytrain.retrieval.portable.write import write_portable
from raytrain.retrieval.runs import open_run
from tests.review.made_runs import write_search


def test_an_export_re_ranks_as_its_run(run: Path, pictures: Table, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    chosen = Temperatures(mode="cross", i2t=20.0, t2i=20.0, i2t_bank=5, t2i_bank=6, bank_seed=3, pooling="mean")
    write_search(folder, {}, chosen, "rerank.inductive.json")
    opened = open_run(folder, torch.device("cpu"))
    export = load(write_portable(opened, tmp_path / "model", with_gallery=True), device="cpu")
    file = Path(str(pictures.image_root)) / pictures.items["file"][2].as_py()
    texts_of_run, texts_of_export = (each.gallery(pictures, of="texts") for each in (opened.retriever, export))
    for of_run, of_export in (
        (opened.retriever.search("a dog", rerank=True), export.search("a dog", rerank=True)),
        (
            opened.retriever.search(image=file, gallery=texts_of_run, rerank=True),
            export.search(image=file, gallery=texts_of_export, rerank=True),
        ),
    ):
        assert [(hit.id, hit.score) for hit in of_export] == [(hit.id, hit.score) for hit in of_run]
    plain = opened.retriever.search("a dog")
    assert [hit.score for hit in plain] != [hit.score for hit in export.search("a dog", rerank=True)]


def test_an_export_without_searched_settings_says_so_in_one_line(with_gallery: Path) -> None:
    with pytest.raises(UsageError, match=r"no settings of inductive re-ranking.*--bank"):
        load(with_gallery, device="cpu").search("a dog", rerank=True)
