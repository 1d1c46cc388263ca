"""Keep finished runs as files small enough to commit, and write the README's results table from them.

    python benchmarks/record.py --storage runs --experiment flickr8k

Copies each run's journal, re-ranking settings, evaluation files and ranks to docs/results/<experiment>/, with folders
cut down to their last name, puts the leaderboard of docs/results into docs/results.md, and those of its rows that were
evaluated on test into README.md between its two marks. Anyone can make the same table: `raytrain leaderboard --storage
docs/results`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from raytrain.review.leaderboard import Board, read_board
from raytrain.review.tables import to_markdown

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results"
OPEN = "<!-- results: made by `python benchmarks/record.py`; do not edit by hand -->"
CLOSE = "<!-- end of results -->"
PLACES = {"storage", "data.table", "file", "encoder.text.path"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", help="folder of experiments; left out, only the README is written anew")
    parser.add_argument("--experiment")
    args = parser.parse_args()
    if args.storage:
        for journal in sorted((Path(args.storage) / args.experiment).glob("*/journal.jsonl")):
            record(journal.parent, RESULTS / args.experiment / journal.parent.name)
    board = read_board(RESULTS)
    title = "# Results\n\nEvery finished run of docs/results. Made by `python benchmarks/record.py`.\n\n"
    (ROOT / "docs" / "results.md").write_text(title + to_markdown(board), encoding="utf-8")
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(OPEN)
    readme.write_text(f"{before}{OPEN}\n{tested(board)}{CLOSE}{rest.partition(CLOSE)[2]}", encoding="utf-8")


def tested(board: Board) -> str:
    """The rows that were evaluated on test, as Markdown."""
    rows = [row for row in board.rows if row["test/rsum"] is not None]
    return to_markdown(Board(rows, board.counts)).strip() + "\n"


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
    if isinstance(value, str) and key in PLACES:
        return Path(value).name
    return value


if __name__ == "__main__":
    main()
