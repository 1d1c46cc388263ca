"""Open a portable model: verified first, then a Retriever that needs no table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from raytrain.config import RunConfig, validate
from raytrain.data.load.words import Vocabulary
from raytrain.data.table.description import Feature
from raytrain.encoders.tokens import ARCHITECTURE
from raytrain.errors import DataError, Problem
from raytrain.methods.base import Method
from raytrain.retrieval.images import image_input
from raytrain.retrieval.portable.banks import NAME as BANKS
from raytrain.retrieval.portable.banks import StoredBanks
from raytrain.retrieval.portable.description import BACKBONES, FIX, WEIGHTS, WORDS, Description
from raytrain.retrieval.portable.gallery import read_gallery
from raytrain.retrieval.portable.manifest import verify_files
from raytrain.retrieval.retriever import Retriever
from raytrain.retrieval.table_rows import other_rows
from raytrain.retrieval.texts import text_input
from raytrain.scoring.feed import load_backbone
from raytrain.training.build import over_backbone
from raytrain.training.initial_weights import misfits

Kind = TypeVar("Kind", bound=Retriever)


def open_portable(folder: Path, device: torch.device, kind: type[Kind] = Retriever) -> Kind:  # type: ignore[assignment]
    """The Retriever of a portable model; a search without a gallery is of the one stored with it, if there is one.

    Args:
        folder: that `write_portable` wrote.
        device: of the model.
        kind: of Retriever to make.

    Raises:
        DataError: a file is damaged, or is not listed in the manifest.
        UsageError: its method or an option of it is not installed here.
    """
    files = verify_files(folder).files
    description = Description.read(folder)
    config = _config(description, folder)
    features = {name: _feature(feature, folder) for name, feature in description.features.items()}
    backbone = load_backbone(config)
    model = over_backbone(config, description.sizes(), backbone)
    _load_weights(model, folder / WEIGHTS)
    model = model.to(device).eval()
    vocabulary = Vocabulary.load(folder / WORDS) if WORDS in files else None
    texts = text_input(config, features, vocabulary, device)
    images = image_input(config, features, backbone, device)
    banks = _tensors(folder / BANKS) if description.bank is not None else {}
    return kind(
        model,
        texts,
        images,
        composed=description.composed,
        device=device,
        memory_mib=config.evaluation.memory_mib,
        rows_of_other=lambda table: other_rows(table, features, config, images, texts, device),
        banks=StoredBanks(model, description.bank, banks, device),
        own=read_gallery(folder, device),
    )


def _config(description: Description, folder: Path) -> RunConfig:
    """The settings of the run, in which models that trained are those of the folder."""
    values: dict[str, Any] = dict(description.run)
    encoder = dict(values.get("encoder") or {})
    for part in ("text", "image"):
        if (encoder.get(part) or {}).get("kind") == "transformer":
            path = folder / Path(str(encoder[part].get("path"))).name
            encoder[part] = {**encoder[part], "path": f"{ARCHITECTURE}{path}"}
    return validate({**values, "encoder": encoder})


def _feature(feature: Feature, folder: Path) -> Feature:
    """The feature, whose backbone may lie in the folder."""
    name = str(feature.encoder.get("backbone", ""))
    if not name.startswith(f"{BACKBONES}/"):
        return feature
    encoder = {**feature.encoder, "backbone": str(folder / BACKBONES / Path(name).name)}
    return Feature.model_validate({**feature.model_dump(), "encoder": encoder})


def _load_weights(model: Method, path: Path) -> None:
    weights = _tensors(path)
    if wrong := misfits(model, weights):
        raise DataError(Problem(str(path), None, f"no weights of this model: {wrong[0]}", FIX))
    model.load_state_dict(weights)


def _tensors(path: Path) -> Mapping[str, Tensor]:
    try:
        tensors: Mapping[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError, LookupError) as error:
        raise DataError(Problem(str(path), None, f"not readable: {error}", FIX)) from None
    return tensors
