"""`raytrain data encode`: adds a frozen backbone's features to a table.

The work is cut into batches of rows (raytrain/data/encode_jobs.py). A `Job` says how a worker turns one batch into
features, a `Mapper` where workers run: in this process, or over Ray Data (raytrain/cluster/encode.py).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np

from raytrain.data.accounting import exceeds
from raytrain.data.encode_jobs import ImageJob, Mapper, TextJob, Work, in_process
from raytrain.data.images import decode
from raytrain.data.paths import contained
from raytrain.data.problems import Problems
from raytrain.data.progress import Progress, Say, to_stderr
from raytrain.data.table import Table
from raytrain.data.table_writer import add_feature, new_array
from raytrain.errors import DataError, Problem, UsageError


def encode(
    table_path: str | os.PathLike[str],
    backbone: str,
    *,
    kind: Literal["image", "text"] | None = None,
    name: str | None = None,
    dtype: str = "float16",
    batch_size: int = 64,
    device: str | None = None,
    allow_missing: float = 0.0,
    pad: float | None = None,
    progress: Say | None = to_stderr,
    map_batches: Mapper = in_process,
) -> dict[str, Any]:
    """Adds a feature to a table and returns what was done.

    Args:
        table_path: folder of the table.
        backbone: "lite0", "minilm", or a folder or hub name that transformers loads.
        kind: "image" or "text"; needed only for models that have both towers.
        name: of the feature; by default the backbone's own. A feature of that name is replaced.
        dtype: "float16" or "float32".
        batch_size: images or texts a forward pass.
        device: "cpu", "cuda", ...; by default a GPU where there is one.
        allow_missing: share of images in [0, 1] that may be missing or broken; they get zero features and are
            counted and listed in table.json.
        pad: ratio of `raytrain.data.images.target_pad` for images; None leaves them as they are.
        progress: receives a line every few seconds; None is silent.
        map_batches: where the work runs.

    Returns:
        {"features": name, "kind", "shape", "dtype", "items_per_second", "seconds", "missing"}

    Raises:
        DataError: every image that is missing, truncated or broken; no feature is added.
        UsageError: a backbone that cannot be loaded, or a table without images.
    """
    if dtype not in ("float16", "float32"):
        raise UsageError(f"dtype {dtype!r} is not allowed; choose float16 or float32")
    if batch_size < 1 or not 0 <= allow_missing <= 1:
        raise UsageError(f"batch_size {batch_size} is at least 1, allow_missing {allow_missing} a share in [0, 1]")
    table = Table(table_path)
    kind = kind or kind_of(backbone)
    if pad is not None and (pad < 1 or kind == "text"):
        raise UsageError(f"pad {pad} is a ratio of an image's sides, at least 1; texts have none")
    folder = Path(tempfile.mkdtemp(prefix=".encode.", dir=table.path))
    try:
        if kind == "image":
            job = ImageJob(backbone, str(table.image_root), dtype, device, pad)
            return _encode_images(table, job, name, batch_size, allow_missing, progress, map_batches, folder)
        return _encode_texts(table, TextJob(backbone, dtype, device), name, batch_size, progress, map_batches, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _encode_images(
    table: Table,
    job: ImageJob,
    name: str | None,
    batch_size: int,
    allow_missing: float,
    progress: Say | None,
    map_batches: Mapper,
    folder: Path,
) -> dict[str, Any]:
    from raytrain.encoders.images import load_image_encoder

    files = table.items["file"].to_pylist()
    if not any(files):
        raise UsageError(f"{table.path} holds features only and names no image files; there is nothing to encode")
    encoder = load_image_encoder(job.backbone)
    name = name or encoder.name
    problems, finite, missing = Problems(), Problems(), []
    count = Progress(name, len(files), "images", progress)
    batches = (
        Work(np.arange(start, min(start + batch_size, len(files))), files[start : start + batch_size])
        for start in range(0, len(files), batch_size)
    )
    seen = np.zeros(len(files), bool)
    with new_array(folder / "rows.npy", (len(files), encoder.regions, encoder.width), job.dtype) as rows:
        for done in map_batches(job, batches):
            rows[done.rows] = done.features
            seen[done.rows] = True
            for position, what in done.broken:
                row = int(done.rows[position])
                missing.append(row)
                problems.add("broken", _broken(table, files[row], row, what))
            _check_finite(done.features, [files[row] for row in done.rows], done.rows, finite)
            count.add(len(done.rows))
            if exceeds(len(missing), len(files), allow_missing):
                break  # it will fail: from here on the images are only looked at, which is faster
    if exceeds(len(missing), len(files), allow_missing):
        for row in np.flatnonzero(~seen).tolist():
            try:
                decode(contained(table.image_root, files[row]))
            except DataError as error:
                problems.add("broken", _broken(table, files[row], row, error.problems[0].what))
        problems.raise_if_any()
    finite.raise_if_any()
    assert seen.all(), "a batch did not come back"
    identities = table.items["id"].take(sorted(missing)).to_pylist() if missing else []
    facts = {
        **encoder.facts,
        "missing": identities,
        "allow_missing": allow_missing,
        **({"target_pad": job.pad} if job.pad else {}),
    }
    add_feature(table, name, "image", facts, {".npy": folder / "rows.npy"})
    return _result(table, name, count, len(missing))


def _encode_texts(
    table: Table,
    job: TextJob,
    name: str | None,
    batch_size: int,
    progress: Say | None,
    map_batches: Mapper,
    folder: Path,
) -> dict[str, Any]:
    from raytrain.encoders.tokens import TokenStates

    texts = table.texts["text"].to_pylist()
    encoder = TokenStates(job.backbone)
    name = name or encoder.name
    lengths = np.array([len(ids) for s in range(0, len(texts), 4096) for ids in encoder.tokens(texts[s : s + 4096])])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    order = np.argsort(lengths, kind="stable")  # like lengths share a batch: little is padded
    problems = Problems()
    count = Progress(name, len(texts), "texts", progress)
    batches = (
        Work(rows, [texts[row] for row in rows.tolist()])
        for rows in (order[start : start + batch_size] for start in range(0, len(order), batch_size))
    )
    with new_array(folder / "rows.npy", (int(offsets[-1]), encoder.width), job.dtype) as states:
        for done in map_batches(job, batches):
            start = 0
            for row in done.rows.tolist():
                part = done.features[start : start + lengths[row]]
                states[offsets[row] : offsets[row + 1]] = part
                start += lengths[row]
                if not np.isfinite(part).all():
                    what = f"states of text {texts[row]!r:.60} are not finite"
                    problems.add("finite", Problem(str(table.path / "texts.arrow"), row, what, "Use --dtype float32."))
            assert start == len(done.features), "lengths here and in the worker differ"
            count.add(len(done.rows))
    problems.raise_if_any()
    assert count.done == len(texts), "a batch did not come back"
    with new_array(folder / "offsets.npy", offsets.shape, "int64") as out:
        out[:] = offsets
    files = {".npy": folder / "rows.npy", ".offsets.npy": folder / "offsets.npy"}
    add_feature(table, name, "text", encoder.facts, files)
    return _result(table, name, count, 0)


def kind_of(backbone: str) -> Literal["image", "text"]:
    """Which side of a table a backbone encodes, from its config.

    Raises:
        UsageError: a model with both towers, which needs `kind`.
    """
    if backbone in ("lite0", "minilm"):
        return "image" if backbone == "lite0" else "text"
    from transformers import AutoConfig

    from raytrain.encoders.tokens import transformers_errors

    with transformers_errors(backbone):
        config = AutoConfig.from_pretrained(backbone, trust_remote_code=False)
    if hasattr(config, "vision_config") and hasattr(config, "text_config"):
        raise UsageError(f"{backbone} encodes images and texts; say which with --kind image or --kind text")
    return "text" if getattr(config, "vocab_size", None) else "image"


def _broken(table: Table, file: str, row: int, what: str) -> Problem:
    fix = "Replace the image, or allow a share of missing images with --allow-missing."
    return Problem(str(table.image_root / file), row, what, fix)


def _check_finite(features: np.ndarray, names: list[str], rows: np.ndarray, problems: Problems) -> None:
    bad = ~np.isfinite(features).reshape(len(features), -1).all(1)
    for position in np.flatnonzero(bad).tolist():
        fix = "Use --dtype float32; if that fails too, the backbone is at fault."
        problems.add("finite", Problem(names[position], int(rows[position]), "its features are not finite", fix))


def _result(table: Table, name: str, count: Progress, missing: int) -> dict[str, Any]:
    feature = table.features[name]
    return {
        "features": name,
        "kind": feature.kind,
        "shape": list(feature.shape),
        "dtype": feature.dtype,
        "items_per_second": round(count.rate, 1),
        "seconds": round(count.seconds, 1),
        "missing": missing,
    }
