"""Checkpoint folders: complete or absent, and unable to run code.

    checkpoint_00000003/
      model.safetensors   weights
      config.yaml         the RunConfig, so that a path is enough to evaluate
      vocabulary.json     where captions are words
      state.pt            optimizer, scaler, averaged weights, position; loads with weights_only
      manifest.json       what is in the folder and where training stood (raytrain/training/manifest.py); written last

Written under a temporary name, synced, then renamed. Nothing random needs saving: batches, augmentation and dropout
are functions of the seed and the step. What is read is verified, and a run goes on from its newest whole checkpoint.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

import raytrain
from raytrain.config import RunConfig, from_yaml, to_yaml
from raytrain.data.load.words import Vocabulary
from raytrain.errors import DataError
from raytrain.files import room_in, sha256, sync, write_json
from raytrain.tracking.run_record import best_of
from raytrain.training import manifest as manifests
from raytrain.training.leftovers import PART, try_lock
from raytrain.training.manifest import Manifest, UnusableCheckpointError, damaged, reading, refuse_no_file

PREFIX = "checkpoint_"
SET_ASIDE = "damaged_"
"""Before the name of a checkpoint from which a run could not go on."""
WEIGHTS, CONFIG, STATE, WORDS = "model.safetensors", "config.yaml", "state.pt", "vocabulary.json"
STATE_KINDS: dict[str, tuple[type, ...]] = {
    "optimizer": (dict,), "scaler": (dict,), "live": (dict, type(None)), "position": (list,), "best": (float, int),
    "worker_seconds": (float, int), "sums": (dict,),
}  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and verified; its manifest is of the current schema."""

    path: Path
    config: RunConfig
    weights: dict[str, Tensor]
    manifest: Manifest
    vocabulary: Vocabulary | None

    def state(self) -> dict[str, Any]:
        """Optimizer and position, for resuming.

        Raises:
            DataError: it could run code, is damaged, or is of another step than the manifest says.
        """
        file = self.path / STATE
        try:
            with reading(file):
                state = torch.load(file, weights_only=True, map_location="cpu")
        except (
            pickle.UnpicklingError,
            RuntimeError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            EOFError,
        ) as error:
            if isinstance(error, DataError):
                raise
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise damaged(file, f"not readable with weights_only: {reason:.200}") from None
        if not isinstance(state, dict):
            raise damaged(file, f"it holds {type(state).__name__}, no state")
        wrong = [name for name, kinds in STATE_KINDS.items() if not isinstance(state.get(name, ...), kinds)]
        if wrong:
            raise damaged(file, f"no state: {', '.join(wrong)} missing or of another type")
        if state["position"][:2] != [self.manifest["epoch"], self.manifest["step"]] or len(state["position"]) != 3:
            raise damaged(file, f"of position {state['position']!r:.80}, not of that in {manifests.NAME}")
        return state


@dataclass(frozen=True)
class Resumption:
    """Where a run goes on.

    Args:
        path: its newest checkpoint that is whole; None where there is none: the run begins.
        left: {name of a newer checkpoint: why the run cannot go on from it}, newest first.
    """

    path: Path | None = None
    left: Mapping[str, str] = field(default_factory=dict)


def name_of(step: int) -> str:
    """The folder name of the checkpoint after `step` steps."""
    return f"{PREFIX}{step:08d}"


def step_of(path: Path) -> int:
    """The step in the folder name of a checkpoint."""
    return int(path.name.removeprefix(PREFIX))


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
    part = Path(tempfile.mkdtemp(prefix=PART, dir=root))
    part.chmod(0o755)
    lock = os.open(part, os.O_RDONLY)
    try:
        try_lock(lock)
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, part / WEIGHTS)
        (part / CONFIG).write_text(to_yaml(config), encoding="utf-8")
        with open(part / STATE, "wb") as file:  # given a path, torch would not say why it cannot write
            torch.save(state, file)
        if vocabulary is not None:
            write_json(part / WORDS, vocabulary.to_json())
        files = {path.name: sha256(path) for path in sorted(part.iterdir())}
        for name in files:
            sync(part / name)
        fields = {"schema": manifests.SCHEMA_VERSION, "raytrain": raytrain.__version__, "files": files, **facts}
        write_json(part / manifests.NAME, manifests.signed(fields))
        sync(part)
        _remove(final)
        os.replace(part, final)
        sync(root)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    finally:
        os.close(lock)
    return final


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """A checkpoint whose files match its manifest.

    Raises:
        DataError: a file is missing or damaged; each problem names one.
        UnusableCheckpointError: a newer raytrain wrote it, or it may not be read.
        UsageError: its config names a field or method that is not installed here.
    """
    path = Path(path)
    manifest = manifests.read_manifest(path)
    problems = []
    for name in {WEIGHTS: "", CONFIG: "", STATE: "", **manifest["files"]}:
        try:
            _verify(path / name, manifest["files"].get(name))
        except UnusableCheckpointError:
            raise
        except DataError as error:
            problems += error.problems
    if WORDS not in manifest["files"] and os.path.lexists(path / WORDS):
        problems += damaged(path / WORDS, f"{manifests.NAME} names no such file").problems
    if problems:
        raise DataError(problems)
    try:
        weights = load_file(path / WEIGHTS)
    except (SafetensorError, ValueError, LookupError) as error:
        raise damaged(path / WEIGHTS, f"not readable: {error}") from None
    words = path / WORDS
    return Checkpoint(
        path,
        from_yaml(path / CONFIG),
        weights,
        manifest,
        Vocabulary.load(words) if WORDS in manifest["files"] else None,
    )


def _verify(file: Path, expected: str | None) -> None:
    """Raises DataError unless the file's sha256 is the expected one."""
    if expected is None:
        raise damaged(file, f"{manifests.NAME} names no such file")
    with reading(file):
        refuse_no_file(file)
        if sha256(file) != expected:
            raise damaged(file, "damaged (sha256 differs)")


def complete(folder: Path) -> list[Path]:
    """The finished checkpoints of a run, oldest first."""
    return [path for path, _ in _described(folder)]


def latest(folder: Path) -> Path | None:
    """The newest finished checkpoint, whole or not."""
    return next(reversed(complete(folder)), None)


def newest_whole(folder: Path) -> Resumption:
    """The checkpoint to resume from, and the newer ones that are damaged, which are only looked at here.

    Raises:
        UnusableCheckpointError: a newer raytrain wrote one that would be taken, or it may not be read.
    """
    left: dict[str, str] = {}
    for path in reversed(_folders(folder)):
        try:
            manifest_of(path)
            load(path).state()
        except UnusableCheckpointError:
            raise
        except DataError as error:
            if os.path.lexists(path):  # unless Ray removes it at this moment
                left[path.name] = "; ".join(f"{Path(each.file).name}: {each.what}" for each in error.problems)
        else:
            return Resumption(path, left)
    return Resumption(None, left)


def set_aside(folder: Path, names: Iterable[str]) -> None:
    """Rename checkpoints from which the run could not go on, so that nothing takes one for its last or best."""
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            _remove(folder / f"{SET_ASIDE}{name}")
            os.replace(folder / name, folder / f"{SET_ASIDE}{name}")


def best(folder: Path) -> Path | None:
    """The checkpoint with the best selection metric; the earlier one of equals."""
    return best_of((path, manifest["selected"]) for path, manifest in _described(folder))


def within_epochs(folder: Path) -> list[Path]:
    """The finished checkpoints that no metric selects, oldest first."""
    return [path for path, manifest in _described(folder) if manifest["selected"] is None]


def _described(folder: Path) -> list[tuple[Path, Manifest]]:
    """Finished checkpoints with their manifests, oldest first, without those whose manifest is damaged or gone.

    Raises:
        UnusableCheckpointError: a newer raytrain wrote one, or it may not be read.
    """
    described = []
    for path in _folders(folder):
        try:
            described.append((path, manifest_of(path)))
        except UnusableCheckpointError:
            raise
        except DataError:
            continue
    return described


def _folders(folder: Path) -> list[Path]:
    """Whatever is named as a checkpoint of the run, oldest first."""
    named = [path for path in folder.glob(f"{PREFIX}*") if re.fullmatch(r"\d{1,15}", path.name.removeprefix(PREFIX))]
    return sorted(named, key=lambda path: (step_of(path), path.name))


def manifest_of(path: Path) -> Manifest:
    """The manifest of a checkpoint in a run's folder, whose name says its step too."""
    manifest = manifests.read_manifest(path)
    if manifest["step"] != step_of(path):
        raise damaged(path / manifests.NAME, f"of step {manifest['step']}, and the folder is named after another one")
    return manifest


def keep_best_and_last(folder: Path) -> None:
    """Remove every other checkpoint of a run."""
    kept = {best(folder), latest(folder)}
    for path in complete(folder):
        if path not in kept:
            shutil.rmtree(path)


def _remove(path: Path) -> None:
    """Remove what lies there, a folder or anything else; nothing where there is nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
