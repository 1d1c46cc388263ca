"""`raytrain data encode`: adds the features of a frozen backbone to a table.

The work is divided into shards of a fixed number of rows, and these into batches. A `Job` turns one batch into features
(raytrain/data/encode/jobs.py). A `Mapper` runs the job in this process or over Ray Data (raytrain/cluster/encode.py).
The results are written here, shard by shard; after a kill, complete shards are reused (raytrain/data/encode/shards.py).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from raytrain.data.encode.jobs import ImageJob, Mapper, TextJob, Work, in_process, pick_device
from raytrain.data.encode.plan import Plan, image_plan, kind_of, text_plan
from raytrain.data.encode.shards import ShardLayout, Shards, differences, open_shards, remove
from raytrain.data.problems import Problems
from raytrain.data.progress import Progress, Say
from raytrain.data.table import Table
from raytrain.data.table.coverage import exceeds
from raytrain.data.table.writer import add_feature, new_array
from raytrain.errors import Problem, RefusedError, UsageError, argument
from raytrain.progress import say

SHARD_ITEMS = 2048


def encode(
    table_path: str | os.PathLike[str],
    backbone: str,
    *,
    kind: Literal["image", "text"] | None = None,
    name: str | None = None,
    dtype: str = "float16",
    batch_size: int = 64,
    shard_items: int = SHARD_ITEMS,
    device: str | None = None,
    allow_missing: float = 0.0,
    pad: float | None = None,
    replace: bool = False,
    progress: Say | None = say,
    map_batches: Mapper = in_process,
) -> dict[str, Any]:
    """Adds a feature to a table, continuing what an earlier, interrupted run of the same call has completed.

    Does nothing if the table has exactly this feature already.

    Args:
        table_path: folder of the table.
        backbone: "lite0", "lite1", "lite2", "minilm", or a folder or hub name that transformers loads.
        kind: "image" or "text"; needed only for models with two towers.
        name: of the feature; by default the backbone's.
        dtype: "float16" or "float32".
        batch_size: images or texts per forward pass.
        shard_items: images or texts per shard, which is the most that a kill costs per worker.
        device: "cpu", "cuda", ...; by default a GPU if there is one.
        allow_missing: share of images in [0, 1] that may be missing or broken; their features are zeros, and table.json
            counts and lists them.
        pad: ratio of `raytrain.data.images.target_pad` for images; None for no padding.
        replace: whether to replace a feature of this name, and unfinished shards of another encoding.
        progress: receives a line every few seconds; None is silent.
        map_batches: runs the job's batches.

    Returns:
        {"features": name, "kind", "shape", "dtype", "items_per_second", "seconds", "missing", "taken_up"}; "taken_up"
        is the number of items or texts that an earlier run encoded.

    Raises:
        DataError: images are missing, truncated or broken (all are listed), or features are not finite; no feature is
            added.
        UsageError: the backbone cannot be loaded, the table has no images, or an option is outside its range.
        RefusedError: another feature of this name, unfinished shards of another encoding, or another process that
            encodes it.
        DiskFullError: the disk is full; complete shards stay for the next run.
    """
    if dtype not in ("float16", "float32"):
        raise UsageError(f"dtype is float16 or float32; given: {dtype!r}")
    if min(batch_size, shard_items) < 1 or not 0 <= allow_missing <= 1:
        raise UsageError(
            "batch_size and shard_items are at least 1, allow_missing is a share in [0, 1]; given: "
            f"{batch_size}, {shard_items}, {allow_missing}"
        )
    table = Table(table_path)
    kind = kind or kind_of(backbone)
    if pad is not None and (pad < 1 or kind == "text"):
        raise UsageError(f"pad is the ratio of an image's sides, at least 1, and texts have none; given: {pad}")
    device = pick_device(device)
    plan = (
        image_plan(table, ImageJob(backbone, table.image_root, dtype, device, pad))
        if kind == "image"
        else text_plan(table, TextJob(backbone, dtype, device))
    )
    name = _checked(name or plan.name)
    encoding = {
        "table": table.fingerprint,
        "encoder": plan.facts,
        "kind": kind,
        "dtype": dtype,
        "batch_size": batch_size,
        "shard_items": shard_items,
        "device": device.partition(":")[0],
        "versions": _versions(),
        **({"offsets_sha256": hashlib.sha256(plan.starts.tobytes()).hexdigest()} if plan.starts is not None else {}),
    }
    if _is_complete(table, name, encoding, replace):
        return _result(table, name, None, 0)
    layout = ShardLayout(plan.shape, dtype, plan.count, shard_items, plan.starts)
    finish_or_drop = (
        f"Finish that one with its settings, give this one another {argument('name')}, or drop the shards with "
        f"{argument('replace', True)}"
    )
    with open_shards(
        table.path,
        table.path / "encoding" / name,
        f"features {name}",
        encoding,
        layout,
        None if replace else finish_or_drop,
        None if name in table.features else table.path / "features" / f"{name}.npy",
    ) as shards:
        shards.take_up(plan.still_broken)
        taken_up = sum(len(shards.span(shard)) for shard in shards.complete)
        if taken_up and progress:
            progress(f"{name}: {len(shards.complete)} of {len(shards)} shards are complete already")
        count = Progress(name, plan.count, plan.unit, progress, before=taken_up)
        missing = _fill(table, plan, shards, batch_size, allow_missing, count, map_batches)
        identities = table.items["id"].take(pa.array(missing, pa.int64())).to_pylist()
        stored_encoding = {key: value for key, value in encoding.items() if key not in ("table", "encoder")}
        facts = {**plan.facts, **({"missing": identities} if kind == "image" else {}), "encoding": stored_encoding}
        add_feature(table, name, kind, facts, _files(shards, plan.starts))
        remove(shards.folder)
    return _result(table, name, count, taken_up)


def _fill(
    table: Table,
    plan: Plan,
    shards: Shards,
    batch_size: int,
    allow_missing: float,
    count: Progress,
    map_batches: Mapper,
) -> list[int]:
    """Encodes the incomplete shards, and returns the rows without features, sorted.

    Raises:
        DataError: more images than allowed are missing or broken, or features are not finite.
    """
    missing = {row: what for broken in shards.complete.values() for row, what in broken}
    seen = np.zeros(plan.count, bool)
    for shard in shards.complete:
        seen[shards.span(shard)] = True
    overflows = Problems()
    count.add(_copy_from_complete(plan, shards))

    def remaining_batches() -> Iterator[list[Work]]:
        for shard in range(len(shards)):
            if shard not in shards.complete and (works := plan.batches(shards.span(shard), batch_size)):
                yield works

    for done in map_batches(plan.job, remaining_batches()):
        broken = [(int(done.rows[position]), what) for position, what in done.broken]
        missing.update(broken)
        seen[done.rows] = True
        if exceeds(len(missing), plan.count, allow_missing):
            break  # the encoding fails: the remaining images are only checked below, which is faster
        lengths = np.ones(len(done.rows), int) if plan.starts is None else np.diff(plan.starts)[done.rows]
        not_finite = ~np.isfinite(done.features).reshape(len(done.features), -1).all(1)
        for row in dict.fromkeys(np.repeat(done.rows, lengths)[not_finite].tolist()):
            what = f"the features of {plan.inputs[row].as_py()!r:.60} are not finite"
            fix = f"Use {argument('dtype', 'float32')}; if that fails too, the fault is the backbone's."
            where = "items.arrow" if plan.starts is None else "texts.arrow"
            overflows.add("finite", Problem(str(table.path / where), row, what, fix))
        copies, same = plan.copies(done.rows)
        if not not_finite.any():
            shards.write(done.rows, done.features, broken)
            if len(copies):
                _write_copies(shards, copies, same, np.split(done.features, np.cumsum(lengths)[:-1]))
        count.add(len(done.rows) + len(copies))
    if exceeds(len(missing), plan.count, allow_missing):
        for row in np.flatnonzero(~seen).tolist():
            if what := plan.fault(row):
                missing[row] = what
        problems = Problems()
        for row, what in sorted(missing.items()):
            problems.add("broken", plan.problem(row, what))
        problems.raise_if_any()
    if overflows:
        remove(shards.folder)  # the other shards are useless, since another dtype or backbone is needed
        overflows.raise_if_any()
    assert len(shards.complete) == len(shards), "a batch did not come back"
    return sorted(missing)


def _copy_from_complete(plan: Plan, shards: Shards) -> int:
    """Fill the rows of incomplete shards whose text an earlier run encoded in a complete one; returns their number."""
    if plan.source is None or not shards.complete:
        return 0
    items, complete = shards.layout.items, list(shards.complete)
    rows = np.arange(plan.count)
    rows = rows[~np.isin(rows // items, complete) & np.isin(plan.source // items, complete)]
    for part in np.split(rows, np.flatnonzero(np.diff(rows // items)) + 1):  # what is read is one shard's
        _write_copies(shards, part, np.arange(len(part)), [shards.read(int(row)) for row in plan.source[part]])
    return len(rows)


def _write_copies(shards: Shards, rows: np.ndarray, same: np.ndarray, features: Sequence[np.ndarray]) -> None:
    """Write the features of texts that are encoded already to other rows, shard by shard.

    Args:
        rows: (C) rows of texts, ascending.
        same: (C) which of the features each one gets.
        features: of distinct texts.
    """
    for part in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows // shards.layout.items)) + 1):
        if len(part):
            shards.write(rows[part], np.concatenate([features[place] for place in same[part]]), [])


def _files(shards: Shards, starts: np.ndarray | None) -> dict[str, Path]:
    """The finished arrays by the suffix of their file name, as `add_feature` takes them."""
    if starts is None:
        return {".npy": shards.path}
    with new_array(shards.folder / "offsets.npy", starts.shape, "int64") as out:
        out[:] = starts
    return {".npy": shards.path, ".offsets.npy": shards.folder / "offsets.npy"}


def _is_complete(table: Table, name: str, encoding: dict[str, Any], replace: bool) -> bool:
    """Whether the table has exactly this feature.

    Raises:
        RefusedError: it has another one of this name, and `replace` is False.
    """
    if name not in table.features:
        return False
    folder = table.path / "encoding" / name
    facts = dict(table.features[name].encoder)
    encoding_made = facts.pop("encoding", {})
    facts.pop("missing", None)
    before = {"table": table.fingerprint, "encoder": facts, **encoding_made}
    if before == json.loads(json.dumps(encoding)) and (not replace or (folder / "encoding.json").exists()):
        if (folder / "rows.npy").exists():
            return False  # a run with --replace was interrupted
        remove(folder)  # left by a kill after the feature was listed
        return True
    if not replace:
        raise RefusedError(
            f"{table.path} has a feature '{name}' of another encoding ({differences(before, encoding)}). It has: "
            f"{table.has()}. Give the new one another name with {argument('name')}, or replace the old one with "
            f"{argument('replace', True)}"
        )
    return False


def _versions() -> dict[str, str]:
    """{package: version} of the libraries that affect the features' last bits."""
    versions = {}
    for package in ("torch", "transformers", "pillow"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _checked(name: str) -> str:
    """The name of a feature; UsageError if it cannot be a file name."""
    from raytrain.encoders.tokens import short_name

    if short_name(name) != name:
        raise UsageError(
            f"a feature's name has letters, digits, '.', '_' and '-'; given: {name!r}, perhaps use {short_name(name)!r}"
        )
    return name


def _result(table: Table, name: str, count: Progress | None, taken_up: int) -> dict[str, Any]:
    feature = table.features[name]
    return {
        "features": name,
        "kind": feature.kind,
        "shape": list(feature.shape),
        "dtype": feature.dtype,
        "items_per_second": round(count.rate, 1) if count else None,
        "seconds": round(count.seconds, 1) if count else 0.0,
        "missing": len(feature.encoder.get("missing", [])),
        "taken_up": taken_up,
    }
