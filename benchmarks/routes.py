"""Whether every way to ask a trained model gives the same answer: one query set through each of them, as a table.

    python -m benchmarks.routes runs/emoji/RUN --composed runs/emoji_triplets/RUN
    python -m benchmarks.routes --queries 3 --routes hub,onnx,pyfunc     # two runs of made-up pictures, trained here

Texts and images of the captions run's table, and images with a text of the composed run's, search the images of their
table for ten results each. Each answer is compared with that of `raytrain.load(RUN).search(...)`: ids in their order,
and scores, whose difference is relative to the score where that is above 1. It may be 1e-5, and 1e-4 of ONNX, whose
graphs embed the queries and the gallery and score them. Exit code 1 where an answer differs.

Each route is what its users call: `raytrain search --json` once per query, `mlflow.pyfunc.load_model`, `mlflow models
serve` and `raytrain serve` as processes on free ports of this machine's loopback, the latter behind uvicorn and on a
Ray Serve of its own, and a hub export, saved and opened again. One thread of torch everywhere: features of a backbone
are rounded to float16, and a sum in another order may round the other way.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc
import torch

import raytrain
from benchmarks.route_answers import ENVIRONMENT, KINDS, ROUTES, Answer, Query, by_retriever
from raytrain.errors import UsageError
from raytrain.retrieval import Retriever


class Outcome(NamedTuple):
    """What a route answered.

    Args:
        query_counts: {kind: number of queries}.
        same: number of answers whose ids are those of the Retriever, in its order.
        difference: largest of scores.
        refusal: why the route does not apply; "" where it does.
    """

    query_counts: Mapping[str, int]
    same: int
    difference: float
    refusal: str = ""


def query_set(retriever: Retriever, count: int) -> list[Query]:
    """So many texts and as many images; of a composed run so many pairs of both. They are spread over its table."""
    assert retriever.home is not None
    table = retriever.home.table
    texts = spread(pc.unique(table.texts["text"]).to_pylist(), count)
    images = [Path(str(table.image_root)) / str(file) for file in spread(table.items["file"].to_pylist(), count)]
    if retriever.composed:
        return [Query(texts[n % len(texts)], image) for n, image in enumerate(images)]
    return [*(Query(text, None) for text in texts), *(Query(None, image) for image in images)]


def spread(values: Sequence[Any], count: int) -> list[Any]:
    """At most so many of the values, at even distances."""
    places = np.unique(np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int))
    return [values[place] for place in places]


def ask(name: str, run: Path, expected: Mapping[Query, Answer], work: Path) -> Outcome:
    """What one route answers to the queries of one run; nothing where it refuses the run's method."""
    query_counts = {kind: sum(query.kind == kind for query in expected) for kind in KINDS}
    try:
        answers = ROUTES[name][1](run, list(expected), work)
    except UsageError as error:
        return Outcome(dict.fromkeys(KINDS, 0), 0, 0.0, str(error))
    pairs = list(zip(answers, expected.values(), strict=True))
    differences = [difference(answer, right) for answer, right in pairs]
    return Outcome(query_counts, sum(answer.ids == right.ids for answer, right in pairs), max(differences))


def difference(answer: Answer, right: Answer) -> float:
    """The largest of two answers' scores, rank by rank, relative to scores above 1; infinite where numbers differ."""
    if len(answer.scores) != len(right.scores):
        return float("inf")
    pairs = zip(answer.scores, right.scores, strict=True)
    return max((abs(score - wanted) / max(1.0, abs(wanted)) for score, wanted in pairs), default=0.0)


def is_right(name: str, outcome: Outcome) -> bool:
    return outcome.same == sum(outcome.query_counts.values()) and outcome.difference <= ROUTES[name][2]


def table_of(outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    """Markdown: a line per route, over its runs, and one per refusal."""
    header = ("route", *(f"{kind} queries" for kind in KINDS), "same ids", "largest score difference")
    lines = [f"| {' | '.join(header)} |", f"| --- |{' ---: |' * (len(header) - 1)}"]
    notes = []
    for name, parts in outcomes.items():
        counts = [sum(part.query_counts[kind] for part in parts) for kind in KINDS]
        cells = [ROUTES[name][0], *map(str, counts), f"{sum(part.same for part in parts)} of {sum(counts)}"]
        lines.append(f"| {' | '.join(cells)} | {max(part.difference for part in parts):.1e} |")
        notes += [f"{ROUTES[name][0]}: does not apply: {part.refusal}" for part in parts if part.refusal]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def made_up(folder: Path, count: int) -> tuple[Path, Path]:
    """A captions run (DVSE) and a composed run on made-up pictures, of one step each."""
    from tests.retrieval import runs

    models = runs.models(folder / "models")
    pictures = runs.encoded(folder / "pictures", models, count=max(16, count))
    composed: dict[str, Any] = {"method__kind": "composed", "method__composition": "sum", "encoder__pooling": "mean",
                                "optim__batch_size": 2}  # fmt: skip
    triplets = runs.encoded(folder / "triplets", models, composed=True)
    return runs.trained(pictures, folder / "captions"), runs.trained(triplets, folder / "composed", **composed)


def compare(runs: Sequence[Path], names: Sequence[str], count: int, work: Path) -> dict[str, list[Outcome]]:
    """{route: its outcome for each of the runs}"""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in names}
    for run in runs:
        expected = right_answers(raytrain.load(run, device="cpu"), count)
        for name in names:
            outcomes[name].append(ask(name, run, expected, work))
            print(f"{name}, {run.name}: {outcomes[name][-1]}", file=sys.stderr, flush=True)
    return outcomes


def right_answers(retriever: Retriever, count: int) -> dict[Query, Answer]:
    """{query: what the Retriever answers}, without images by images where cross attention has no score of them."""
    queries = query_set(retriever, count)
    if retriever.model.local_features:
        queries = [query for query in queries if query.text is not None]
    return dict(zip(queries, by_retriever(retriever, queries), strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path, help="folder of a captions run; default both runs are made up")
    parser.add_argument("--composed", type=Path, help="folder of a run of composed retrieval")
    parser.add_argument("--queries", type=int, default=20, help="of each kind")
    parser.add_argument("--routes", default=",".join(ROUTES), help="some of them")
    options = parser.parse_args()
    names = options.routes.split(",")
    if unknown := set(names) - set(ROUTES):
        parser.error(f"no route {', '.join(sorted(unknown))}; there are {', '.join(ROUTES)}")
    torch.set_num_threads(1)
    os.environ.update(ENVIRONMENT)
    with tempfile.TemporaryDirectory(prefix="routes-") as place:
        given = [run.resolve() for run in (options.run, options.composed) if run is not None]
        outcomes = compare(given or made_up(Path(place), options.queries), names, options.queries, Path(place))
    print(table_of(outcomes))
    return 0 if all(is_right(name, part) for name, parts in outcomes.items() for part in parts) else 1


if __name__ == "__main__":
    sys.exit(main())
