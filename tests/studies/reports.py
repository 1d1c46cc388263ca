"""A finished study that is made up: its record, and runs whose validation scores are drawn."""

from __future__ import annotations

import json
from pathlib import Path

from raytrain.config import flatten, override, to_values
from raytrain.data.table import Table
from raytrain.studies.record import StudyRecord
from raytrain.tracking.journal import NAME
from tests.review.made_runs import make_run
from tests.studies.in_process import recipe

STRENGTH = {0.2: 1.6, 0.1: 0.8}
"""{margin: how well its runs rank}."""


def made_study(root: Path, seeds: int = 2) -> Path:
    """The folder of the study "margins" with all of its runs; the larger margin is better."""
    base = override(recipe(root), {"name": "study"})
    base.folder.mkdir(parents=True)
    StudyRecord(study="margins", recipe="small", base=to_values(base), seeds=seeds).write(base.folder)
    fingerprint = Table(base.data.table).fingerprint
    for margin, strength in STRENGTH.items():
        for seed in range(seeds):
            config = override(base, {"name": f"margin {margin}-{seed}".replace(" ", "_"), "seed": seed})
            config = override(config, {"method.margin": margin})
            folder = base.folder.parent / f"margin {margin}-{seed}"
            settings = {name: value for name, value in flatten(config).items() if name not in ("seed", "name")}
            make_run(folder, 7 * seed + int(10 * margin), strength, fingerprint=fingerprint, test=None, **settings)
            _give_seed(folder, seed, margin)
    return base.folder


def _give_seed(folder: Path, seed: int, margin: float) -> None:
    """The seed of a made-up run is that of its scores; that of the study stands in its settings."""
    lines = [json.loads(line) for line in (folder / NAME).read_text(encoding="utf-8").splitlines()]
    lines[0]["config"]["seed"] = lines[0]["seed"] = seed
    for line in lines:
        if line["event"] == "epoch":
            line["metrics"]["diagnostics/set_cosine"] = margin + 0.01 * seed
    (folder / NAME).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
