"""Keep finished runs as files small enough to commit, and write README.md's results and docs/results.md from them.

    python benchmarks/record.py --storage runs --experiment flickr8k

Copies each run's journal, re-ranking settings, evaluation files and ranks to results/<experiment>/, with folders cut
down to their last name. Then writes the full leaderboard of results/ to docs/results.md, and a short table of the rows
that were evaluated on test to README.md, between its two marks. Without arguments it only writes the two pages. Anyone
can make the same tables: `raytrain leaderboard --storage results`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from raytrain.evaluation.report import read_evaluations
from raytrain.review.board import Board, Row, Split, Table, main_split
from raytrain.review.leaderboard import read_board
from raytrain.review.tables import brief_rows, cells, explanation, markdown_table, summary, title

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
OPEN = "<!-- results: made by `python benchmarks/record.py`; do not edit by hand -->"
CLOSE = "<!-- end of results -->"
README_NOTE = (
    "Recalls and mAP@R are in percent; rsum is the sum of the recalls, ± the standard deviation over seeds; K is the "
    "number of embeddings per image; there is one run per seed. Intervals are of each row by itself: for differences, "
    "which pair the rows by their queries, see docs/results.md. A row of one seed may move further with another than "
    "its interval says. Rows are ordered by validation rsum; nothing was chosen on test. Transductive rows are "
    "re-ranked knowing all test queries (Fast Re-ranking): compare them with each other, not with the rest."
)
FOLDERS = {"storage", "data.table", "file", "encoder.text.path"}
"""Fields of a record whose value is cut down to its last name."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", help="folder of experiments; left out, only the two pages are written anew")
    parser.add_argument("--experiment")
    args = parser.parse_args()
    if args.storage:
        for journal in sorted((Path(args.storage) / args.experiment).glob("*/journal.jsonl")):
            record(journal.parent, RESULTS / args.experiment / journal.parent.name)
    board = read_board(RESULTS)
    data_sets = yaml.safe_load((RESULTS / "data_sets.yaml").read_text(encoding="utf-8"))
    (ROOT / "docs" / "results.md").write_text(full_page(board, data_sets), encoding="utf-8")
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(OPEN)
    short = readme_tables(board, data_sets)
    readme.write_text(f"{before}{OPEN}\n{short}{CLOSE}{rest.partition(CLOSE)[2]}", encoding="utf-8")


def full_page(board: Board, data_sets: Mapping[str, str]) -> str:
    """docs/results.md: every column of every row."""
    parts = [
        "# Results",
        "Every finished run of results/, written by `python benchmarks/record.py`. "
        "[results/README.md](../results/README.md) says what the runs are and how to train one again.",
    ]
    for table in board.tables:
        parts += [f"## {in_words(table, data_sets)}", f"{title(table)}.", markdown_table(cells(table, "markdown"))]
    return "\n\n".join([*parts, summary(board), explanation(board)]) + "\n"


def readme_tables(board: Board, data_sets: Mapping[str, str]) -> str:
    """The rows that were evaluated on test, in at most nine columns."""
    parts = []
    for table in board.tables:
        if main_split(table) == "test":
            parts += [f"**{in_words(table, data_sets)}**", markdown_table(cells(brief_rows(table), "brief"))]
    return "\n\n".join([*parts, README_NOTE]) + "\n"


def in_words(table: Table, data_sets: Mapping[str, str]) -> str:
    """Data set and protocol: "Flickr8k, 484 test images, 5 captions each"."""
    split = main_split(table)
    name = data_sets.get(table[0].fingerprint, f"data {table[0].fingerprint}")
    name = name[0].upper() + name[1:] + (f", selected on {table[0].selection}" if table[0].selection else "")
    evaluation = next((e for row in table if (e := _evaluation(row, split)) is not None), None)
    if evaluation is None:
        return f"{name}, validation only"
    words = "test" if split == "test" else "validation"
    queries = evaluation["queries"]
    if "query" in queries:
        return f"{name}, {queries['query']:,} {words} queries over {evaluation['gallery']['query']:,} images"
    images, captions = queries["i2t"], queries["t2i"]
    per_image = f"{captions // images} captions each" if captions % images == 0 else f"{captions:,} captions"
    return f"{name}, {images:,} {words} images, {per_image}"


def _evaluation(row: Row, split: Split) -> dict[str, Any] | None:
    """An evaluation file of the row's first run on a split; None without one."""
    evaluations = read_evaluations(row.folders[0])
    return next((e for e in evaluations if e.get("split") == split and e.get("protocol") == row.protocol), None)


def record(run: Path, out: Path) -> None:
    """Copy what the leaderboard reads."""
    (out / "evaluation").mkdir(parents=True, exist_ok=True)
    lines = [json.loads(line) for line in (run / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    text = "".join(json.dumps(shorten(line), ensure_ascii=False) + "\n" for line in lines)
    (out / "journal.jsonl").write_text(text, encoding="utf-8")
    for name in ("rerank.json", "rerank.inductive.json", "space.json"):
        if (run / name).exists():
            value = json.loads((run / name).read_text(encoding="utf-8"))
            (out / name).write_text(json.dumps(shorten(value), indent=1), encoding="utf-8")
    for path in (run / "evaluation").glob("*"):
        if path.suffix == ".npz":
            shutil.copyfile(path, out / "evaluation" / path.name)
        elif path.suffix == ".json" and not path.name.startswith("similarity"):
            value = json.loads(path.read_text(encoding="utf-8"))
            (out / "evaluation" / path.name).write_text(json.dumps(shorten(value), indent=1), encoding="utf-8")


def shorten(value: Any, key: str = "") -> Any:
    """The value, with folders cut down to their last name."""
    if isinstance(value, dict):
        return {name: shorten(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [shorten(part) for part in value]
    if isinstance(value, str) and key in FOLDERS:
        return Path(value).name
    return value


if __name__ == "__main__":
    main()
