"""What a study found: its runs measured, compared with the baseline, and judged; as values that pages are made of."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from raytrain.errors import DataError
from raytrain.evaluation.significance import Ranks, simultaneous
from raytrain.files import read_regular, write_json
from raytrain.studies.best_of import best_variants
from raytrain.studies.examples import Example, PointMap
from raytrain.studies.measured_run import MeasuredRun
from raytrain.studies.plan import Plan, make_plan
from raytrain.studies.record import StudyRecord
from raytrain.studies.study import Measure, Study, Variant
from raytrain.studies.verdict import LEVEL, Decided, Measured, Outcome, decide, difference, spearman, verdict
from raytrain.tracking.run_identity import code_of
from raytrain.tracking.run_record import RunRecord

CACHE = "measures.json"
_KEPT = TypeAdapter(dict[str, dict[str, float | None]])


@dataclass(frozen=True)
class Cell:
    """A measure of a variant.

    Args:
        mean: over its seeds; None without a run.
        sd: standard deviation over seeds; None of fewer than two.
        difference: to the baseline; None of the baseline itself, and without runs.
        interval: of the difference at LEVEL, for all variants of the measure at once; None where seeds are too few.
        published: the paper's own value; None where it gives none.
        digits: after the point.
    """

    mean: float | None
    sd: float | None
    difference: float | None
    interval: tuple[float, float] | None
    published: float | None
    digits: int


@dataclass(frozen=True)
class Row:
    """A variant: its name, the number of its seeds, and a cell per measure."""

    variant: Variant
    seeds: int
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class StudyReport:
    """A study and its runs.

    Args:
        name: of the study.
        study: its definition.
        rows: its variants, in order, then the best of those that `Study.best_of` names.
        decided: its claims.
        outcome: of all claims; None where the paper claims nothing.
        sentence: the verdict in words.
        scatter: (x, y, name of the run) of each run, and Spearman's rho with its p; None where nothing is drawn so.
        facts: {what the report rests on: in words}.
        maps: embeddings in the plane, with the variant that they are of.
        examples: single items of the baseline.
        table: folder of the data, for pictures; None where no run has finished.
    """

    name: str
    study: Study
    rows: Sequence[Row]
    decided: Sequence[Decided]
    outcome: Outcome | None
    sentence: str
    scatter: tuple[list[tuple[float, float, str]], tuple[float, float] | None] | None
    facts: Mapping[str, str]
    maps: Sequence[tuple[str, PointMap]] = ()
    examples: Sequence[Example] = ()
    table: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "study": self.name,
            "question": self.study.question,
            "verdict": self.outcome,
            "sentence": self.sentence,
            "claims": [
                {"sentence": of.claim.sentence, "outcome": of.outcome, "difference": of.difference,
                 "interval": list(of.interval) if of.interval and np.isfinite(of.interval).all() else None}
                for of in self.decided
            ],
            "variants": {
                row.variant.name: {
                    "seeds": row.seeds,
                    **{name: {"mean": cell.mean, "sd": cell.sd, "difference": cell.difference,
                              "interval": list(cell.interval) if cell.interval else None}
                       for name, cell in row.cells.items()},
                }
                for row in self.rows
            },
            **self.facts,
        }  # fmt: skip


def build_report(study: Study, folder: Path) -> StudyReport:
    """Measure the finished runs of a study and judge them; numbers that need a model are kept in measures.json.

    Args:
        study: its definition.
        folder: of the study.
    """
    record = StudyRecord.read(folder)
    plan = make_plan(study, record.recipe_run(folder), record.seeds)
    measured = measure_runs(study, plan, folder / CACHE)
    report = report_of(record.study, study, plan, measured, record.recipe)
    return replace(report, table=str(record.base["data"]["table"]), **_shown(study, plan))


def _shown(study: Study, plan: Plan) -> dict[str, Any]:
    """{"maps", "examples"} of the first seeds."""
    maps: list[tuple[str, PointMap]] = []
    examples: list[Example] = []
    for variant in plan.variants if study.maps or study.examples else ():
        first = next(iter(plan.runs_of(variant.name).values()), None)
        if first is None:
            continue
        run = MeasuredRun(first)
        maps += [(variant.name, drawn) for reference in study.maps if (drawn := reference(run)) is not None]
        if study.examples is not None and variant.name == study.baseline:
            examples = study.examples(run)
    return {"maps": maps, "examples": examples}


def measure_runs(study: Study, plan: Plan, cache: Path) -> dict[str, Measured]:
    """{variant: what its finished runs gave}."""
    opened: dict[str, MeasuredRun] = {}
    values_of_runs = _kept_values(cache)
    ranked = any(measure.is_recall for measure in study.measures)
    measured = {}
    for variant in plan.variants:
        values: dict[str, dict[int, float]] = {measure.name: {} for measure in study.measures}
        ranks: dict[int, Ranks] = {}
        records = plan.runs_of(variant.name)
        for seed, record in records.items():
            run = opened.setdefault(str(record.folder), MeasuredRun(record))
            recalls: dict[str, float] = {}
            if ranked:
                ranks[seed] = run.ranks if variant.answers is None else variant.answers(run)
                recalls = recalls_of(ranks[seed])
            of_run = values_of_runs.setdefault(str(record.uid), {})
            for measure in study.measures:
                value = _value(measure, variant, run, recalls, of_run)
                if value is not None:
                    values[measure.name][seed] = value
        measured[variant.name] = Measured({seed: str(of.folder) for seed, of in records.items()}, values, ranks)
    if any(values_of_runs.values()):
        write_json(cache, values_of_runs)
    return measured


def _kept_values(cache: Path) -> dict[str, dict[str, float | None]]:
    """{uid: {measure: value}} of measures.json; {} where it is absent or damaged: what it held is measured again."""
    try:
        return _KEPT.validate_json(read_regular(cache))
    except FileNotFoundError:
        return {}
    except (DataError, ValidationError):
        warnings.warn(f"{cache} cannot be read; its values are measured again", RuntimeWarning, stacklevel=3)
        return {}


def _value(
    measure: Measure, variant: Variant, run: MeasuredRun, recalls: Mapping[str, float], kept: dict[str, float | None]
) -> float | None:
    if measure.is_recall:
        return recalls.get(measure.name)
    if measure.of is None:
        return run.metric(measure.name)
    key = f"{measure.of}" + (f" of {variant.answers}" if variant.answers else "")
    if kept.get(key) is None:  # what could not be measured, on this machine perhaps, is tried again
        value = measure.of(run)
        if value is None:
            return None
        kept[key] = float(value)
    return kept[key]


def recalls_of(ranks: Ranks) -> dict[str, float]:
    """{"i2t/recall_at_1": ..., "rsum": ...}, or of composed queries {"recall_at_1": ..., "rsum": ...}, in percent."""
    sides = {"": (1, 10, 50)} if "query" in ranks else {"i2t/": (1, 5, 10), "t2i/": (1, 5, 10)}
    recalls = {}
    for prefix, cutoffs in sides.items():
        places = np.asarray(ranks[prefix.rstrip("/") or "query"])
        answered = places[places >= 0]
        for cutoff in cutoffs:
            recalls[f"{prefix}recall_at_{cutoff}"] = 100.0 * float((answered < cutoff).mean())
    return recalls | {"rsum": sum(recalls.values())}


def report_of(name: str, study: Study, plan: Plan, measured: Mapping[str, Measured], recipe: str = "") -> StudyReport:
    """The report of runs that are measured already."""
    best = best_variants(study, measured)
    nothing = Measured({}, {measure.name: {} for measure in study.measures}, {})
    compared = {**measured, **{name: measured[best[name]] if name in best else nothing for name in study.best_of}}
    variants = [*plan.variants, *(Variant(name, (name,), {}, None, None) for name in study.best_of)]
    by_measure = {measure.name: _cells(study, measure, variants, compared) for measure in study.measures}
    rows = [
        Row(variant, len(compared[variant.name].runs), {of: cells[variant.name] for of, cells in by_measure.items()})
        for variant in variants
    ]
    decided = decide(study, compared)
    seeds = min((row.seeds for row in rows), default=0)
    outcome, sentence = verdict(decided, seeds)
    facts = _facts(plan, rows[: len(plan.variants)], recipe)
    if best:
        chosen = "; ".join(f"{name}: {variant}" for name, variant in best.items())
        facts["budget"] += " but what the best of several is chosen from"
        facts["best"] = f"{chosen}. Chosen by {study.measures[0].title} on the queries that judge it"
    return StudyReport(name, study, rows, decided, outcome, sentence, _scatter(study, measured), facts)


def _cells(
    study: Study, measure: Measure, variants: Sequence[Variant], measured: Mapping[str, Measured]
) -> dict[str, Cell]:
    baseline = measured[study.baseline]
    estimates = {
        variant.name: estimate
        for variant in variants
        if variant.name != study.baseline
        and (estimate := difference(measured[variant.name], baseline, measure.name, measure.is_recall)) is not None
    }
    bounds = dict(zip(estimates, (interval for interval, _ in simultaneous([*estimates.values()], LEVEL)), strict=True))
    cells = {}
    for variant in variants:
        of_variant, estimate = measured[variant.name], estimates.get(variant.name)
        interval = bounds.get(variant.name)
        cells[variant.name] = Cell(
            of_variant.mean(measure.name),
            of_variant.spread(measure.name),
            estimate.value if estimate else None,
            interval if interval and np.isfinite(interval).all() else None,
            study.published.get(variant.name, {}).get(measure.name),
            measure.digits,
        )
    return cells


def _scatter(
    study: Study, measured: Mapping[str, Measured]
) -> tuple[list[tuple[float, float, str]], tuple[float, float] | None] | None:
    if study.scatter is None:
        return None
    x, y = study.scatter
    points = [
        (of.values[x][seed], of.values[y][seed], f"{variant}, seed {seed}")
        for variant, of in measured.items()
        for seed in of.runs
        if seed in of.values[x] and seed in of.values[y]
    ]
    return points, spearman([point[0] for point in points], [point[1] for point in points])


def _facts(plan: Plan, rows: Sequence[Row], recipe: str) -> dict[str, str]:
    """What the report rests on, in words."""
    records: dict[str, RunRecord] = {
        str(planned.run.folder): planned.run for planned in plan.runs if planned.run is not None
    }
    started = [record.start for record in records.values()]
    seconds = [record.metrics.get("cost/worker_seconds", 0.0) for record in records.values()]
    configs = [record.config for record in records.values()]
    epochs = sorted({int(config["optim.num_epochs"]) for config in configs})
    batches = sorted({int(config["optim.batch_size"]) for config in configs})
    complete = sum(row.seeds == len(plan.seeds) for row in rows)
    return {
        "runs": f"{len(records)} of {len(plan.runs)}; {complete} of {len(rows)} variants have all "
        f"{len(plan.seeds)} seeds",
        "seeds": ", ".join(map(str, plan.seeds)),
        "recipe": recipe or "as given",
        "budget": f"{_span(epochs)} epoch{'' if epochs == [1] else 's'}, batches of {_span(batches)}; "
        f"{_span_s(seconds)} worker seconds per run, {sum(seconds):,.0f} in all; nothing was tuned per variant",
        "split": "validation alone; no test split was opened",
        "data": plan.fingerprint[:12],
        "commit": ", ".join(sorted({str(code_of(start)) for start in started})) or "none",
    }


def _span(values: Sequence[int]) -> str:
    if not values:
        return "no"
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _span_s(seconds: Sequence[float]) -> str:
    if not seconds:
        return "0"
    low, high = min(seconds), max(seconds)
    return f"{low:,.0f}" if f"{low:,.0f}" == f"{high:,.0f}" else f"{low:,.0f} to {high:,.0f}"
