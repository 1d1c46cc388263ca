"""Checkpoint folders: complete or absent, and unable to run code.

    checkpoint_000003/
      model.safetensors   weights
      config.yaml         the RunConfig, so that a path is enough to evaluate
      vocabulary.json     where captions are words
      state.pt            optimizer, scaler, averaged weights, position; loads with weights_only
      manifest.json       sha256 of each file, epoch, step and metrics; written last

Written under a temporary name, synced, then renamed. Nothing random needs saving: batches, augmentation and dropout
are functions of the seed and the step.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from raytrain.config import RunConfig, from_yaml, to_yaml
from raytrain.data.load.words import Vocabulary
from raytrain.errors import DataError, Problem
from raytrain.files import room_in, sha256, sync, write_json

PREFIX = "checkpoint_"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and verified."""

    path: Path
    config: RunConfig
    weights: dict[str, Tensor]
    manifest: dict[str, Any]
    vocabulary: Vocabulary | None

    def state(self) -> dict[str, Any]:
        """Optimizer and position, for resuming."""
        return torch.load(self.path / "state.pt", weights_only=True, map_location="cpu")  # type: ignore[no-any-return]


def name_of(step: int) -> str:
    """Name of the folder of the checkpoint after `step` steps."""
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
        weights: {name: tensor} of the model.
        state: optimizer and position; anything that torch.load(weights_only=True) reads.
        facts: epoch, step, metrics and what else the manifest holds.
        vocabulary: of the captions; None unless they are words.

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
        with open(part / "state.pt", "wb") as file:  # given a path, torch would hide why it cannot write
            torch.save(state, file)
        if vocabulary is not None:
            write_json(part / "vocabulary.json", vocabulary.to_json())
        files = {path.name: sha256(path) for path in sorted(part.iterdir())}
        for name in files:
            sync(part / name)
        write_json(part / "manifest.json", {"files": files, **facts})
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
        DataError: a file is missing or damaged.
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
    scored = [(path, facts["selected"]) for path, facts in _described(folder) if facts.get("selected") is not None]
    return max(scored, key=lambda checkpoint: checkpoint[1], default=(None, None))[0]


def within_epochs(folder: Path) -> list[Path]:
    """The finished checkpoints written inside an epoch, which have no metrics, oldest first."""
    return [path for path, facts in _described(folder) if facts.get("selected") is None]


def _described(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Finished checkpoints with their manifests, oldest first; one that Ray removes at this moment is left out."""
    checkpoints = []
    for path in folder.glob(f"{PREFIX}*"):
        try:
            checkpoints.append((path, _manifest(path)))
        except DataError:
            if (path / "manifest.json").exists():
                raise
    return sorted(checkpoints, key=lambda checkpoint: (checkpoint[1]["step"], checkpoint[0].name))


def keep_best_and_last(folder: Path) -> None:
    """Remove all checkpoints of a run but the best and the latest."""
    kept = {best(folder), latest(folder)}
    for path in complete(folder):
        if path not in kept:
            shutil.rmtree(path)


def _manifest(path: Path) -> dict[str, Any]:
    try:
        return json.loads((path / "manifest.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]
    except (OSError, ValueError) as error:
        raise DataError(
            Problem(str(path / "manifest.json"), None, f"not readable: {error}", "Give a finished checkpoint folder.")
        ) from None
