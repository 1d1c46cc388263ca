"""Keep finished runs as files small enough to commit, and write README.md's results and docs/results.md from them.

    python benchmarks/record.py --storage runs --experiment flickr8k

Copies each run's journal, re-ranking settings, evaluation files and ranks to results/<experiment>/, with folders cut
down to their last name. Then writes the full leaderboard of results/ to docs/results.md, and to README.md, between its
two marks, the test results of the runs that results/shown.yaml names. Without arguments it only writes the two pages.
Anyone can make the full tables: `raytrain leaderboard --storage results`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from raytrain.evaluation.report import read_evaluations
from raytrain.review.board import Board, Row, Split, Table, main_split
from raytrain.review.cell_text import with_spread
from raytrain.review.column import header_of
from raytrain.review.columns import columns_of
from raytrain.review.leaderboard import read_board
from raytrain.review.tables import brief_rows, cells, explanation, markdown_table, summary, title

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
OPEN = "<!-- results: made by `python benchmarks/record.py`; do not edit by hand -->"
CLOSE = "<!-- end of results -->"
README_NOTE = (
    "Recalls and mAP@R are in percent; rsum is the sum of the recalls, ± the standard deviation over seeds; K is the "
    "number of embeddings per image. Intervals are of each row by itself: for differences, which pair the rows by "
    "their queries, see docs/results.md. With another seed, a row of one seed may move further than its interval says. "
    "Rows are ordered by validation rsum; nothing was chosen on test. Re-ranked rsum is transductive: Fast Re-ranking "
    "knows all test queries."
)
FOLDERS = {"storage", "data.table", "file", "encoder.text.path"}
"""Fields of a record whose value is cut down to its last name."""
NOT_SHOWN = ("rank", "method", "transductive", "runs")
"""Columns of a brief table that README.md has not."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", help="folder of experiments; left out, only the two pages are written anew")
    parser.add_argument("--experiment")
    args = parser.parse_args()
    if args.storage:
        for journal in sorted((Path(args.storage) / args.experiment).glob("*/journal.jsonl")):
            record(journal.parent, RESULTS / args.experiment / journal.parent.name)
    board = read_board(RESULTS)
    data_sets, shown = (
        yaml.safe_load((RESULTS / name).read_text(encoding="utf-8")) for name in ("data_sets.yaml", "shown.yaml")
    )
    (ROOT / "docs" / "results.md").write_text(full_page(board, data_sets), encoding="utf-8")
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(OPEN)
    short = readme_tables(board, data_sets, shown)
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


def readme_tables(board: Board, data_sets: Mapping[str, str], shown: Mapping[str, Mapping[str, str]]) -> str:
    """The rows of `shown` that were evaluated on test, each with its rsum after re-ranking.

    Args:
        board: of all runs.
        data_sets: {first digits of a table's fingerprint: name of the data set}.
        shown: {those digits: {name of the runs without their seed: what they are, in words}}.
    """
    parts = []
    for table in board.tables:
        names = shown.get(table[0].fingerprint, {})
        if main_split(table) == "test" and (lines := shown_cells(table, names)):
            parts += [f"**{in_words(table, data_sets)}**", markdown_table(lines)]
    return "\n\n".join([*parts, README_NOTE]) + "\n"


def shown_cells(table: Table, names: Mapping[str, str]) -> list[list[str]]:
    """The header and a line per variant: its name, the columns of test, and its re-ranked rsum where a row has one."""
    re_ranked = {tuple(row.runs): row for row in table if row.transductive}
    rows = [row for row in brief_rows(table) if not row.rerank and without_seed(row.runs[0]) in names]
    columns = [column for column in columns_of(rows, "brief") if column.name not in NOT_SHOWN] if rows else []
    lines = []
    for row in rows:
        ranked_anew = re_ranked.get(tuple(row.runs))
        after = with_spread(ranked_anew.test.rsum, ranked_anew.test.rsum_sd) if ranked_anew else ""
        lines.append([names[without_seed(row.runs[0])], *(column.text(row) for column in columns), after])
    header = ["method", *(header_of(column, rows) for column in columns), "re-ranked rsum"]
    last = None if any(line[-1] for line in lines) else -1
    return [line[:last] for line in (header, *lines)] if lines else []


def without_seed(run: str) -> str:
    """ "f-dvse-2-s1" -> "f-dvse-2"."""
    return re.sub(r"-s\d+$", "", run)


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
