"""The text of the leaderboard's cells."""

from __future__ import annotations

from raytrain.config import method_label
from raytrain.review.board import SPLITS, Coverage, Row, Split, Table


def number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def with_spread(value: float | None, sd: float | None) -> str:
    """ "346.6 ± 4.2", or "352.8" without a spread."""
    return number(value) + (f" ± {sd:.1f}" if sd is not None else "")


def method_title(row: Row) -> str:
    return method_label(row.method).title


def headline(row: Row) -> str:
    return with_spread(row.headline.value, row.headline.sd) if row.headline else ""


def headline_name(table: Table) -> str:
    """ "val cirr/mean_recall" of a table whose protocol has no rsum; "" elsewhere."""
    return next((row.headline.name for row in table if row.headline), "")


def interval(row: Row) -> str:
    """ "[low, high]", with the split where it is not the test, and what the bounds do not cover."""
    if row.interval is None:
        return ""
    bounds = f"[{row.interval.low:.1f}, {row.interval.high:.1f}]"
    return bounds + _unless_test(row.interval.split) + _gaps(row.interval.coverage)


def interval_bounds(row: Row) -> str:
    """ "326.7 to 358.9 over images and seeds", and what the bounds do not cover."""
    if row.interval is None:
        return ""
    coverage = row.interval.coverage
    return f"{row.interval.low:.1f} to {row.interval.high:.1f} over {coverage.over}{_gaps(coverage)}"


def interval_header(table: Table) -> str:
    """ "95 % over images and seeds": what the intervals of a table are over, but for what a cell says."""
    coverages = [row.interval.coverage for row in table if row.interval]
    widest = max(coverages, key=lambda coverage: (coverage.gallery is True, coverage.seeds), default=None)
    return f"95 % over {widest.over}" if widest else "interval"


def covered(coverage: Coverage) -> str:
    """ "images; training noise not covered"."""
    return "; ".join(part for part in (coverage.over, coverage.gaps) if part)


def comparison(row: Row) -> str:
    """ "-3.2 [-5.9, -0.4] p 0.03", with the split where it is not the test, and what bounds and p do not cover."""
    if row.comparison is None:
        return ""
    bounds = f"[{row.comparison.low:+.1f}, {row.comparison.high:+.1f}]"
    text = f"{difference(row)} {bounds} {p_value(row.comparison.p)}" + _unless_test(row.comparison.split)
    return text + _gaps(row.comparison.coverage)


def difference(row: Row) -> str:
    return f"{row.comparison.difference:+.1f}" if row.comparison else ""


def comparison_bounds(row: Row) -> str:
    """ "-5.9 to -0.4, p 0.03", and what they do not cover."""
    if row.comparison is None:
        return ""
    bounds = f"{row.comparison.low:+.1f} to {row.comparison.high:+.1f}, {p_value(row.comparison.p)}"
    return bounds + _gaps(row.comparison.coverage)


def _gaps(coverage: Coverage) -> str:
    return f", {coverage.gaps}" if coverage.gaps else ""


def _unless_test(split: Split) -> str:
    return "" if split == "test" else f" {split}"


def p_value(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p {p:.2g}"


def run_names(row: Row) -> str:
    """ "dvse-s0 and 2 more"."""
    return row.runs[0] if len(row.runs) == 1 else f"{row.runs[0]} and {len(row.runs) - 1} more"


def lost(row: Row) -> str:
    """Lost seconds where there are any to the nearest second."""
    return number(row.cost.lost_seconds, 0) if row.cost.lost_seconds >= 0.5 else ""


def money(row: Row) -> str:
    return "" if row.cost.money is None else f"{row.cost.money:.2f} {row.cost.currency}"


def short_commit(row: Row) -> str:
    """Seven digits of each commit, and the "+" of a tree with changes; a version as it is."""
    return " ".join(
        commit if commit.startswith("v") else commit[:7] + ("+" if commit.endswith("+") else "")
        for commit in row.commit.split()
    )


def short_metric(name: str) -> str:
    """ "R@10" of "t2i/recall_at_10"."""
    return "mAP@R" if name == "map_at_r" else f"R@{name.rpartition('_')[2]}"


def by_chance(row: Row, split: Split, metric: str) -> str:
    """ " (chance 100.0)" behind a recall that a random order reaches too, in so small a gallery; "" elsewhere."""
    chance = row.chance.get(split, {}).get(metric)
    return "" if chance is None else f" (chance {chance:.1f})"


def opened(row: Row) -> str:
    """ "2 of 37": openings of the test split by the row's runs and weights, of all of these test rows."""
    if not row.openings:
        return ""
    return f"{row.openings} of {row.openings_in_all}" if row.openings_in_all else str(row.openings)


def gain(row: Row) -> str:
    """ "val +3.1, test -2.3 (lowers rsum, t2i/recall_at_1)": what re-ranking did."""
    parts = []
    for split in SPLITS:
        change = row.gain.get(split)
        if change is not None:
            parts.append(f"{split} {change:+.1f}{lowers(row, split)}")
    return ", ".join(parts)


def lowers(row: Row, split: Split) -> str:
    """ " (lowers rsum, t2i R@1)": what re-ranking made worse on a split."""
    names = [
        f"{name.rpartition('/')[0]} {short_metric(name)}".strip()
        if "recall_at_" in name or name == "map_at_r"
        else name
        for name in row.lowered.get(split, {})
    ]
    return f" (lowers {', '.join(names)})" if names else ""


def reranking(row: Row) -> str:
    """ "transductive", or "transductive, lowers test": how a row is re-ranked, where a table has little room."""
    return (row.reranking or "") + (", lowers test" if "rsum" in row.lowered.get("test", {}) else "")
