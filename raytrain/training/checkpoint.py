"""Checkpoint folders: complete or absent, and unable to run code.

    checkpoint_000003/
      model.safetensors   weights
      config.yaml         the RunConfig, so that a path is enough to evaluate
      vocabulary.json     where captions are words
      state.pt            optimizer, scaler, averaged weights, position; loads with weights_only
      manifest.json       schema, version of raytrain, sha256 of each file, epoch, step and metrics; written last

Written under a temporary name, synced, then renamed. Nothing random needs saving: batches, augmentation and dropout
are functions of the seed and the step.

A manifest that was written by an earlier schema is read through MIGRATIONS; the files beside it stay as they are.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import raytrain
from raytrain.config import RunConfig, from_yaml, to_yaml
from raytrain.data.load.words import Vocabulary
from raytrain.errors import DataError, Problem
from raytrain.files import room_in, sha256, sync, write_json
from raytrain.tracking.run_record import best_of

PREFIX = "checkpoint_"
SCHEMA_VERSION = 2
"""Of what `save` writes; a change that older code cannot read raises it and adds a migration."""


Manifest = dict[str, Any]
"""schema, raytrain (the version that wrote it), files {name: sha256}, epoch, step, metrics of an epoch that ended,
selected (the selection metric, None within an epoch), world_size, fingerprint (of the table)."""


def _from_1(manifest: Manifest) -> Manifest:
    """Schema 1 has all fields of schema 2 but its own number and the version that wrote it."""
    return {**manifest, "schema": 2, "raytrain": None}


MIGRATIONS: dict[int, Callable[[Manifest], Manifest]] = {1: _from_1}
"""{schema: the function that makes a manifest of the next schema}. A manifest without a number is of schema 1."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and verified; its manifest is of the current schema."""

    path: Path
    config: RunConfig
    weights: dict[str, Tensor]
    manifest: Manifest
    vocabulary: Vocabulary | None

    def state(self) -> dict[str, Any]:
        """Optimizer and position, for resuming."""
        return torch.load(self.path / "state.pt", weights_only=True, map_location="cpu")  # type: ignore[no-any-return]


def name_of(step: int) -> str:
    """The folder name of the checkpoint after `step` steps."""
    return f"{PREFIX}{step:08d}"


def save(
    root: Path,
    config: RunConfig,
    weights: dict[str, Tensor],
    state: dict[str, Any],
    facts: dict[str, Any],
    vocabulary: Vocabulary | None = None,
) -> Path:
    """Write `root/checkpoint_<step>` and return it.

    Args:
        weights: of the model.
        state: whatever torch.load(weights_only=True) reads.
        facts: epoch, step, metrics and the like, kept in the manifest.

    Raises:
        DiskFullError: nothing is written; earlier checkpoints are as they were.
    """
    with room_in(root, name_of(facts["step"]), "go on"):
        return _save(root, config, weights, state, facts, vocabulary)


def _save(
    root: Path,
    config: RunConfig,
    weights: dict[str, Tensor],
    state: dict[str, Any],
    facts: dict[str, Any],
    vocabulary: Vocabulary | None,
) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    final = root / name_of(facts["step"])
    part = Path(tempfile.mkdtemp(prefix=".part_", dir=root))
    part.chmod(0o755)
    try:
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, part / "model.safetensors"
        )
        (part / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
        with open(part / "state.pt", "wb") as file:  # given a path, torch would not say why it cannot write
            torch.save(state, file)
        if vocabulary is not None:
            write_json(part / "vocabulary.json", vocabulary.to_json())
        files = {path.name: sha256(path) for path in sorted(part.iterdir())}
        for name in files:
            sync(part / name)
        document = {"schema": SCHEMA_VERSION, "raytrain": raytrain.__version__, "files": files, **facts}
        write_json(part / "manifest.json", document)
        sync(part)
        shutil.rmtree(final, ignore_errors=True)
        os.replace(part, final)
        sync(root)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return final


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """A checkpoint whose files match its manifest.

    Raises:
        DataError: a file is missing or damaged, or a newer version of raytrain wrote the checkpoint.
    """
    path = Path(path)
    manifest = _manifest(path)
    problems = []
    for name, expected in manifest["files"].items():
        if not (path / name).is_file():
            problems.append(Problem(str(path / name), None, "missing", "Use another checkpoint of the run."))
        elif sha256(path / name) != expected:
            problems.append(Problem(str(path / name), None, "damaged (sha256 differs)", "Use another checkpoint."))
    if problems:
        raise DataError(problems)
    words = path / "vocabulary.json"
    return Checkpoint(
        path,
        from_yaml(path / "config.yaml"),
        load_file(path / "model.safetensors"),
        manifest,
        Vocabulary.load(words) if words.exists() else None,
    )


def complete(folder: Path) -> list[Path]:
    """The finished checkpoints of a run, oldest first."""
    return [path for path, _ in _described(folder)]


def latest(folder: Path) -> Path | None:
    """The checkpoint to resume from."""
    return next(reversed(complete(folder)), None)


def best(folder: Path) -> Path | None:
    """The checkpoint with the best selection metric; the earlier one of equals."""
    return best_of((path, manifest["selected"]) for path, manifest in _described(folder))


def within_epochs(folder: Path) -> list[Path]:
    """The finished checkpoints that no metric selects, oldest first."""
    return [path for path, manifest in _described(folder) if manifest["selected"] is None]


def _described(folder: Path) -> list[tuple[Path, Manifest]]:
    """Finished checkpoints with their manifests, oldest first; one that Ray removes at this moment is left out."""
    described = []
    for path in folder.glob(f"{PREFIX}*"):
        try:
            described.append((path, _manifest(path)))
        except DataError:
            if (path / "manifest.json").exists():
                raise
    return sorted(described, key=lambda pair: (pair[1]["step"], pair[0].name))


def keep_best_and_last(folder: Path) -> None:
    """Remove every other checkpoint of a run."""
    kept = {best(folder), latest(folder)}
    for path in complete(folder):
        if path not in kept:
            shutil.rmtree(path)


def _manifest(path: Path) -> Manifest:
    """The manifest of a checkpoint, in the current schema."""
    file = path / "manifest.json"
    try:
        manifest: Manifest = {"schema": 1, **json.loads(file.read_text(encoding="utf-8"))}
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            Problem(str(file), None, f"not readable: {error}", "Give a finished checkpoint folder.")
        ) from None
    schema = manifest["schema"]
    if not isinstance(schema, int) or not 1 <= schema <= SCHEMA_VERSION:
        needed = f"raytrain {manifest['raytrain']} or later" if manifest.get("raytrain") else "a newer raytrain"
        what = f"schema {schema!r}; raytrain {raytrain.__version__} reads up to schema {SCHEMA_VERSION}"
        raise DataError(Problem(str(file), None, what, f"Use {needed}, which wrote this checkpoint."))
    for number in range(schema, SCHEMA_VERSION):
        manifest = MIGRATIONS[number](manifest)
    if missing := [name for name in ("files", "epoch", "step", "selected", "fingerprint") if name not in manifest]:
        what = f"no field {', '.join(missing)}"
        raise DataError(Problem(str(file), None, what, "Use another checkpoint of the run."))
    return manifest
