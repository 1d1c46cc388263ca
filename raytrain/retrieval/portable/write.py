"""Write the portable form of a finished run."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from raytrain.config import RunConfig, TransformerImages, TransformerText, to_values
from raytrain.data.table.description import Feature
from raytrain.encoders.tokens import (
    load_pretrained,
    load_tokenizer,
    resolve,
    sha256_of_all,
    transformers_errors,
    weight_files,
)
from raytrain.errors import RefusedError
from raytrain.files import need_room, room_in, write_json
from raytrain.retrieval.backbones import backbone_of
from raytrain.retrieval.portable.attribution import write_attribution
from raytrain.retrieval.portable.banks import write_banks
from raytrain.retrieval.portable.description import (
    BACKBONES,
    IMAGE_MODEL,
    TEXT_MODEL,
    WEIGHTS,
    WORDS,
    Description,
    neutral,
    sizes_of,
)
from raytrain.retrieval.portable.gallery import write_gallery
from raytrain.retrieval.portable.manifest import write_manifest
from raytrain.retrieval.portable.provenance import provenance
from raytrain.retrieval.runs import OpenRun
from raytrain.scoring.feed import features_read

COPIED = (".json", ".safetensors", ".txt", ".model")
"""Endings of the files of a frozen backbone that are taken along: nothing that could run code."""


def write_portable(run: OpenRun, out: Path, with_gallery: bool = False) -> Path:
    """Write the folder `out`, complete or not at all, and return it.

    Args:
        run: whose best checkpoint is written.
        out: must not exist, or be empty.
        with_gallery: also the embedded images of the run's table, all splits of it.

    Raises:
        RefusedError: there are files in `out`, or a frozen backbone has other weights than when it made the features.
        DiskFullError: nothing is written.
    """
    refuse_files_in(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with room_in(out.parent, f"the export {out.name}"):
        part = Path(tempfile.mkdtemp(prefix=".export-", dir=out.parent))
        part.chmod(0o755)
        try:
            _write(run, part, with_gallery)
            if out.exists():
                out.rmdir()
            os.replace(part, out)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    return out


def refuse_files_in(out: Path) -> None:
    """Raises RefusedError where there is something in the place of an export already."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RefusedError(f"{out} holds files already; give the name of a folder that does not exist yet")


def _write(run: OpenRun, folder: Path, with_gallery: bool) -> None:
    saved, feed, config = run.saved, run.feed, run.saved.config
    need_room(folder, sum(tensor.nbytes for tensor in saved.weights.values()), "the weights of the export")
    save_file({name: tensor.contiguous() for name, tensor in saved.weights.items()}, folder / WEIGHTS)
    if saved.vocabulary is not None:
        write_json(folder / WORDS, saved.vocabulary.to_json())
    description = Description(
        task="image and text to image" if config.batch_by == "query" else "text to image",
        run=_portable_config(config, folder),
        inputs=sizes_of(feed.inputs),
        regions=feed.images.regions,
        features={name: _portable_feature(run.table.features[name], folder) for name in features_read(config)},
        bank=write_banks(folder, run.banks) if config.batch_by != "query" else None,
        provenance=provenance(run.record, saved, run.table),
    )
    description.write(folder)
    write_attribution(folder, description.provenance["data"], list(description.features))
    if with_gallery:
        write_gallery(folder, run.retriever.gallery())
    write_manifest(folder)


def _portable_config(config: RunConfig, folder: Path) -> dict[str, Any]:
    """The config's values; the settings of models that trained are written into the folder, and read from there."""
    values = neutral(to_values(config))
    encoder = dict(values["encoder"])
    if isinstance(config.encoder.text, TransformerText):
        _write_settings(config.encoder.text.path, folder / TEXT_MODEL)
        load_tokenizer(config.encoder.text.path).save_pretrained(str(folder / TEXT_MODEL))
        encoder["text"] = {**encoder["text"], "path": TEXT_MODEL}
    if isinstance(config.encoder.image, TransformerImages):
        from transformers import AutoImageProcessor

        path = config.encoder.image.path
        _write_settings(path, folder / IMAGE_MODEL)
        with transformers_errors(path):
            processor = AutoImageProcessor.from_pretrained(path, backend="pil", trust_remote_code=False)
        processor.save_pretrained(str(folder / IMAGE_MODEL))
        encoder["image"] = {**encoder["image"], "path": IMAGE_MODEL}
    return {**values, "encoder": encoder}


def _write_settings(path: str, place: Path) -> None:
    """The settings of the model behind a path, without its weights."""
    settings: Any = load_pretrained(path).config
    place.mkdir()
    settings.save_pretrained(str(place))


def _portable_feature(feature: Feature, folder: Path) -> Feature:
    """What the table said of a feature, without its rows; a backbone that lies in a folder is copied.

    Raises:
        RefusedError: the backbone has other weights now.
    """
    encoder = {name: value for name, value in feature.encoder.items() if name != "missing"}
    name = backbone_of(feature)
    source = None if name is None else Path(resolve(name))
    if source is not None and name != "minilm" and source.is_dir():
        if sha256_of_all(weight_files(str(source))) != encoder["weights_sha256"]:
            raise RefusedError(f"backbone {name} is not the one that made the features '{feature.name}': other weights")
        place = folder / BACKBONES / feature.name
        place.mkdir(parents=True)
        for path in sorted(source.iterdir()):
            if path.is_file() and path.suffix in COPIED:
                shutil.copyfile(path, place / path.name)
        encoder["backbone"] = f"{BACKBONES}/{feature.name}"
    return Feature.model_validate({**feature.model_dump(), "shape": (0, *feature.shape[1:]), "encoder": encoder})
