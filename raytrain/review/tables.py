"""A leaderboard as text for a terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from raytrain.config import method_label
from raytrain.review.leaderboard import METRICS, Board, groups

METHOD_NAMES = {
    "vse_infinity": "VSE-infinity", "dvse": "DVSE", "dive": "DivE", "vsepp": "VSE++", "pvse": "PVSE", "pcme": "PCME",
    "pcmepp": "PCME++", "scan": "SCAN", "sgraf": "SGRAF", "rau": "RAU", "composed/combiner": "Combiner",
    "composed/fusion": "Fusion", "composed/image": "Image only", "composed/sum": "Sum", "composed/text": "Text only",
    "composed/tirg": "TIRG",
}  # fmt: skip
CSV_COLUMNS = (
    "rank", "fingerprint", "protocol", "experiment", "method", "views", "settings", "rerank", "transductive", "seeds",
    *(f"{split}/{name}" for split in ("val", "test") for name in (*METRICS, "rsum", "rsum_sd")),
    "headline", "headline_value", "headline_sd",
    "interval_split", "rsum_low", "rsum_high", "first", "first_split", "first_difference", "first_low", "first_high",
    "first_p", "worker_seconds", "gpu_seconds", "cpu_seconds", "lost_seconds", "money", "currency", "epochs", "commit",
    "runs", "folders",
)  # fmt: skip
EXPLANATION = (
    "Recalls and mAP@R in percent, rsum the sum of the recalls; ordered by validation rsum. ± spread over seeds, [ ] "
    "95 % interval over queries (bootstrap over images). Against first: rsum minus that of the first row re-ranked "
    "alike, on test where both were opened there, with its interval (paired bootstrap) and p (paired permutation test, "
    "Holm's correction over the rows). FR rows are re-ranked with all queries at hand (transductive), or over a bank "
    "of training queries where they say inductive. Seconds are means a run, over all its workers."
)
LOST = "Lost seconds are those that workers were held for without a result: repeated epochs, failures, restarts."
MONEY = "Money is what kept and lost seconds cost by the price table."


def to_text(board: Board) -> str:
    """Plain columns, a table for each data fingerprint and protocol."""
    parts = []
    for table in board.tables:
        head, *body = _cells(table, _for_terminal(table))
        widths = [max(len(line[i]) for line in (head, *body)) for i in range(len(head))]
        numeric = [all(_is_number(line[i]) for line in body) for i in range(len(head))]
        lines = [
            "  ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(line, widths, numeric, strict=True)).rstrip()
            for line in (head, ["-" * w for w in widths], *body)
        ]
        parts.append("\n".join([title(table), *lines]))
    return "\n\n".join([*parts, summary(board)])


def to_markdown(board: Board) -> str:
    parts = []
    for table in board.tables:
        head, *body = [
            [cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in _cells(table, ("val", "test"))
        ]
        rule = ["---:" if all(_is_number(line[i]) for line in body) else "---" for i in range(len(head))]
        lines = ["| " + " | ".join(line) + " |" for line in (head, rule, *body)]
        parts.append("\n".join([f"**{title(table)}**", "", *lines]))
    return "\n\n".join([*parts, summary(board), explanation(board)]) + "\n"


def explanation(board: Board) -> str:
    """How to read what the board shows."""
    shown = [(LOST, any(lost(row) for row in board.rows)), (MONEY, any(money(row) for row in board.rows))]
    return " ".join([EXPLANATION, *(text for text, is_shown in shown if is_shown)])


def to_csv(board: Board) -> str:
    """Every field of every row; lists are joined by spaces, None is empty."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(CSV_COLUMNS)
    for row in board.rows:
        values = (row[name] for name in CSV_COLUMNS)
        writer.writerow([" ".join(map(str, v)) if isinstance(v, list) else "" if v is None else v for v in values])
    return out.getvalue()


def _for_terminal(table: Sequence[dict[str, Any]]) -> Sequence[str]:
    """One split's recalls fit a terminal: the test's where it was opened."""
    return ("test",) if any(row["test/rsum"] is not None for row in table) else ("val",)


def title(table: Sequence[dict[str, Any]]) -> str:
    return f"Protocol {table[0]['protocol']}, data {table[0]['fingerprint']}"


def summary(board: Board) -> str:
    """How many runs there were, and what became of them."""
    if not board.counts:
        return "No runs."
    told = ", ".join(f"{number} {status}" for status, number in sorted(board.counts.items()))
    rest = "" if set(board.counts) == {"finished"} else "; only finished runs are ranked"
    total = sum(board.counts.values())
    return f"{total} run{'s' if total > 1 else ''}: {told}{rest}."


def _cells(table: Sequence[dict[str, Any]], recalls_of: Sequence[str]) -> list[list[str]]:
    """Head and rows of the shorter forms: the rsum of each split that any row has, and the recalls of some."""
    shown = [split for split in ("val", "test") if any(row[f"{split}/rsum"] is not None for row in table)]
    head = ["#", "method", "K", "FR", "seeds"]
    shown_metrics = groups(table[0])
    for split in shown:
        if split in recalls_of:
            first, *rest = (_head(names) for _, names in shown_metrics)
            head += [f"{split} {first}", *rest]
        head += [f"{split} rsum"]
    if headline := headline_of(table):
        head += [headline]
    lines = []
    for row in table:
        line = [str(row["rank"]), method_name(row), str(row["views"]), row["rerank"] or "", str(len(row["seeds"]))]
        for split in shown:
            if split in recalls_of:
                line += [_values(row, split, names) for _, names in shown_metrics]
            line.append(with_spread(row, split))
        if headline:
            line.append(headline_value(row))
        line += [interval(row), against_first(row), number(row["worker_seconds"], 0), number(row["gpu_seconds"], 0)]
        lines.append([*line, lost(row), money(row), short_commit(row), row["settings"]])
    head += ["interval", "against first", "seconds", "GPU s", "lost s", "money", "commit", "settings"]
    # a column that says nothing in this table is left out
    kept = [
        i
        for i, name in enumerate(head)
        if name not in ("FR", "against first", "lost s", "money", "settings") or any(line[i] for line in lines)
    ]
    return [[line[i] for i in kept] for line in (head, *lines)]


def _head(names: Sequence[str]) -> str:
    """ "i2t R@1/5/10" of its names."""
    direction, _, _ = names[0].rpartition("/")
    ks = "/".join(name.rpartition("_")[2] for name in names if "recall_at_" in name)
    return " ".join([*([direction] if direction else []), f"R@{ks}", *(["mAP@R"] if "map_at_r" in names else [])])


def headline_of(table: Sequence[dict[str, Any]]) -> str | None:
    """ "val mean_recall" of a table whose protocol has no rsum; None elsewhere."""
    return next((row["headline"] for row in table if row["headline"]), None)


def headline_value(row: dict[str, Any]) -> str:
    spread = row["headline_sd"]
    return number(row["headline_value"]) + (f" ± {spread:.1f}" if spread is not None else "")


def short_name(metric: str) -> str:
    """ "R@10" of "t2i/recall_at_10"."""
    return "mAP@R" if metric == "map_at_r" else f"R@{metric.rpartition('_')[2]}"


def _values(row: dict[str, Any], split: str, names: Sequence[str]) -> str:
    return " / ".join(number(row[f"{split}/{name}"]) for name in names) if row[f"{split}/rsum"] is not None else ""


def method_name(row: dict[str, Any]) -> str:
    return method_label(str(row["method"])).title


def with_spread(row: dict[str, Any], split: str) -> str:
    spread = row[f"{split}/rsum_sd"]
    return number(row[f"{split}/rsum"]) + (f" ± {spread:.1f}" if spread is not None else "")


def interval(row: dict[str, Any]) -> str:
    """ "[low, high]", with the split where it is not the test."""
    if row["rsum_low"] is None:
        return ""
    return f"[{row['rsum_low']:.1f}, {row['rsum_high']:.1f}]" + ("" if row["interval_split"] == "test" else " val")


def against_first(row: dict[str, Any]) -> str:
    """ "-3.2 [-5.9, -0.4] p 0.03", with the split where it is not the test."""
    if row["first_p"] is None:
        return ""
    told = f"{row['first_difference']:+.1f} [{row['first_low']:+.1f}, {row['first_high']:+.1f}] {p_value(row)}"
    return told + ("" if row["first_split"] == "test" else " val")


def p_value(row: dict[str, Any]) -> str:
    return "p < 0.001" if row["first_p"] < 0.001 else f"p {row['first_p']:.2g}"


def lost(row: dict[str, Any]) -> str:
    """Seconds, where they round to any."""
    return number(row["lost_seconds"], 0) if row["lost_seconds"] >= 0.5 else ""


def money(row: dict[str, Any]) -> str:
    return "" if row["money"] is None else f"{row['money']:.2f} {row['currency']}"


def short_commit(row: dict[str, Any]) -> str:
    """Seven digits of each commit, and the "+" of a tree with changes."""
    return " ".join(one[:7] + ("+" if one.endswith("+") else "") for one in row["commit"].split())


def number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _is_number(cell: str) -> bool:
    return not cell or cell[0].isdigit()
