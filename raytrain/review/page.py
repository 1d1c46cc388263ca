"""A leaderboard as one HTML file that needs nothing else: no network, no library; what it shows is escaped."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from raytrain.review.importance import bars, caption, importances
from raytrain.review.leaderboard import Board, groups
from raytrain.review.pareto import UNITS, front_chart, front_table
from raytrain.review.plots import Sweep, history, setting_curve, temperature_curve, temperature_map
from raytrain.review.tables import (
    EXPLANATION,
    headline_of,
    headline_value,
    method_name,
    number,
    p_value,
    short_commit,
    short_name,
    summary,
)

METHOD_LEGEND = {
    "vse_infinity": "One vector an image and a caption, regions and words pooled by learned weights; triplet loss on "
    "the hardest negative (Chen et al., CVPR 2021).",
    "dvse": "K views an image against one vector a caption, each view's loss weighted by the variance of its "
    "negatives, views kept apart by an orthogonality term (our reading of the published abstracts).",
    "dive": "K elements an image and K a caption, each set predicted by slots that compete for the input, compared by "
    "smooth-Chamfer similarity (Kim et al., CVPR 2023).",
    "vsepp": "One vector an image and a caption, one linear layer over the image's feature; triplet loss on the "
    "hardest negative (Faghri et al., BMVC 2018).",
    "pvse": "K elements an image and K a caption by attention, compared by their best pair (Song and Soleymani, CVPR "
    "2019).",
    "pcme": "A Gaussian an image and a caption, matched by samples of both (Chun et al., CVPR 2021).",
    "pcmepp": "A Gaussian an image and a caption, matched by a distance in closed form (Chun, ICLR 2024).",
    "scan": "Regions and words that attend to one another, a score from each pair of image and caption (Lee et al., "
    "ECCV 2018).",
    "sgraf": "Alignments of words and regions, reasoned over as a graph or filtered (Diao et al., AAAI 2021).",
    "rau": "A reference and a text made one query, trained with Gaussians around query and target (our reading of the "
    "published abstract).",
    "composed/combiner": "Reference and text through CLIP4Cir's Combiner (Baldrati et al., CVPRW 2022).",
    "composed/fusion": "Reference and text through two layers, added to their sum.",
    "composed/image": "The reference alone.",
    "composed/sum": "Reference and text added up.",
    "composed/text": "The modification text alone.",
    "composed/tirg": "The reference gated by the text, plus a residual (Vo et al., CVPR 2019).",
}

STYLE = """
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1b2330;--soft:#5d6878;--line:#dfe3ea;--head:#f0f2f6;
--accent:#2f6fde;--bar:#7ba5f0;--bar2:#f0b26a;--warm:#9a5b00;--best:#e9f6ee}
@media (prefers-color-scheme:dark){:root{--page:#12161d;--card:#1a2029;--ink:#e6eaf0;--soft:#98a4b5;--line:#2c3542;
--head:#222a35;--accent:#7aa7ff;--bar:#4a78c9;--bar2:#b07a32;--warm:#f2b866;--best:#1b3127}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);
font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1640px;margin:0 auto;padding:28px 24px 48px}h1{font-size:24px;margin:0 0 4px}
h2{font-size:16px;margin:30px 0 10px}
h2 code{font-weight:400;color:var(--soft)}p{margin:4px 0;color:var(--soft);max-width:100ch}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;overflow-x:auto}
table{border-collapse:collapse;width:100%;white-space:nowrap}th,td{padding:6px 8px;text-align:right;
border-bottom:1px solid var(--line);font-variant-numeric:tabular-nums}tbody tr:last-child td{border-bottom:0}
th{background:var(--head);font-weight:600;font-size:12px;color:var(--soft)}th.group{text-align:center;
border-left:1px solid var(--line)}th button{all:unset;cursor:pointer;padding:1px 2px;border-radius:4px}
th button:hover{color:var(--accent)}th button:focus-visible{outline:2px solid var(--accent)}
th[aria-sort=ascending] button::after{content:" \\25B4"}th[aria-sort=descending] button::after{content:" \\25BE"}
td.left,th.left{text-align:left}td.first,th.first{border-left:1px solid var(--line)}tr.lead td{background:var(--best)}
td.name b{font-size:14px}td.name small,td small{display:block;color:var(--soft);font-size:11.5px}
td .settings{white-space:normal;width:32ch}
.tag{display:inline-block;margin-left:6px;padding:0 7px;border-radius:9px;font-size:11px;color:var(--warm);
border:1px solid currentColor}.bar{position:relative;min-width:104px;padding-bottom:12px}
.bar span{font-size:11.5px;color:var(--soft)}
.bar i{position:absolute;left:8px;bottom:5px;height:4px;border-radius:2px;background:var(--bar)}
.bar i.warm{background:var(--bar2)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 16px;margin:10px 0}
dt{font-weight:600}dd{margin:0;color:var(--soft)}
.charts{display:flex;flex-wrap:wrap;gap:16px}figure{margin:0;padding:12px;background:var(--card);
border:1px solid var(--line);border-radius:10px;width:520px;max-width:100%}figcaption{font-weight:600;margin-bottom:6px}
svg{width:100%;height:auto}svg text{font-size:11px;fill:var(--soft)}.grid{stroke:var(--line)}
.best{fill:none;stroke:var(--accent);stroke-width:1.5}
.s0{fill:var(--bar)}.s1{fill:var(--bar2)}.s2{fill:#5bb98c}.s3{fill:#b98c5b}
code{font:12px ui-monospace,"DejaVu Sans Mono",monospace}
"""

SCRIPT = """
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const head = button.closest("th"), body = head.closest("table").tBodies[0], at = Number(head.dataset.at);
  const down = head.getAttribute("aria-sort") !== "descending";
  for (const other of head.closest("thead").querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = row => row.cells[at].dataset.v, rows = [...body.rows];
  rows.sort((a, b) => {
    const x = key(a), y = key(b);
    if (x === "" || y === "") return (x === "") - (y === "");
    const way = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
    return down ? -way : way;
  });
  body.append(...rows);
});
"""


def to_html(board: Board, sweeps: Mapping[str, Sweep] | None = None) -> str:
    """The page; its time is the only thing in it that was not recorded.

    Args:
        board: the rows.
        sweeps: by name, for charts of how each went and of what decided it.
    """
    methods = dict.fromkeys(row["method"] for row in board.rows)
    legend = "".join(
        f"<dt>{escape(method_name({'method': name}))}</dt><dd>{escape(METHOD_LEGEND[name])}</dd>"
        for name in methods
        if name in METHOD_LEGEND
    )
    tables = "".join(_table(table) for table in board.tables)
    charts = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>{drawn}</figure>"
        for name, drawn in [
            *(figure for name, sweep in (sweeps or {}).items() for figure in _sweep(name, sweep)),
            *((f"{method_name({'method': one.method})} by {one.setting}", setting_curve(one)) for one in board.curves),
            *_curves(board),
        ]
        if drawn
    )
    apart = "<p>Tables stand apart because their data or protocol differ: rows compare within one.</p>"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><title>raytrain leaderboard</title>'
        f"<style>{STYLE}</style></head><body><main><h1>Leaderboard</h1>"
        f"<p>{escape(summary(board))} Written {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}.</p>"
        f"{apart if len(board.tables) > 1 else ''}{tables}"
        f"{f'<h2>Searches</h2><div class=charts>{charts}</div>' if charts else ''}"
        f"<h2>How to read it</h2><p>{escape(EXPLANATION)} "
        "The interval stands under its rsum. Bars start a little below the lowest row. Click a head to sort.</p>"
        f"{f'<h2>Methods</h2><dl>{legend}</dl>' if legend else ''}"
        f"</main><script>{SCRIPT}</script></body></html>\n"
    )


def _sweep(name: str, sweep: Sweep) -> list[tuple[str, str]]:
    """How the sweep went, and what decided it, for each method that it tried often enough."""
    found = importances(sweep.trials, sweep.space)
    decided = [(caption(name, method), bars(shares)) for method, shares in found.items()]
    traded = []
    if sweep.cost in UNITS:
        drawn = front_chart(sweep.trials, sweep.cost) + front_table(sweep.trials, sweep.cost)
        traded = [(f"Sweep {name}: value against {UNITS[sweep.cost]}", drawn)]
    return [(f"Sweep {name}", history(sweep.trials)), *traded, *decided]


def _curves(board: Board) -> list[tuple[str, str]]:
    """Both directions' temperature curves of the best re-ranked row, its first seed, and both together."""
    row = next((row for row in board.rows if row["transductive"]), None)
    if row is None:
        return []
    return [
        (f"Re-ranking of {row['runs'][0]}, {direction}", temperature_curve(row["folders"][0], direction))
        for direction in ("i2t", "t2i")
    ] + [(f"Re-ranking of {row['runs'][0]}, both", temperature_map(row["folders"][0]))]


def _table(table: Sequence[dict[str, Any]]) -> str:
    splits = [split for split in ("val", "test") if any(row[f"{split}/rsum"] is not None for row in table)]
    top = [("", 4, False)]
    heads = [("#", "rank", ""), ("Method", "method", "left"), ("K", "views", ""), ("Seeds", "seeds", "")]
    for split in splits:
        for title, names in groups(table[0]):
            top.append((f"{split} {title}", len(names), True))
            heads += [(short_name(name), f"{split}/{name}", "first" if name == names[0] else "") for name in names]
        top.append((split, 1, True))
        heads.append(("rsum", f"{split}/rsum", "first"))
    headline = headline_of(table)
    if headline:
        top.append(("protocol", 1, True))
        heads.append((headline, "headline", "first"))
    compared = any(row["first_p"] is not None for row in table)
    if compared:
        top.append(("against first", 1, True))
        heads.append(("rsum", "first_difference", "first"))
    top.append(("cost a run", 2, True))
    heads += [("Worker s", "worker_seconds", "first"), ("GPU s", "gpu_seconds", "")]
    top.append(("", 1, True))
    heads += [("Commit", "commit", "left first")]

    over = "".join(
        f'<th colspan="{span}"{" class=group" if framed else ""}>{escape(text)}</th>' for text, span, framed in top
    )
    columns = "".join(
        f'<th class="{kind}" data-at="{at}"><button type="button">{escape(text)}</button></th>'
        for at, (text, _, kind) in enumerate(heads)
    )
    # bars start at the worst row's round figure, so that differences of a few points can be seen
    sums = {split: [r[f"{split}/rsum"] for r in table if r[f"{split}/rsum"] is not None] for split in splits}
    scale = {
        split: (max(0.0, min(values) - 0.5 * (max(values) - min(values)) - 10), max(values))
        for split, values in sums.items()
    }
    body = "".join(
        _row(row, splits, scale, at == 0 and len(table) > 1, headline, compared) for at, row in enumerate(table)
    )
    shown = table[0]
    return (
        f"<h2>Protocol {escape(str(shown['protocol']))} <code>data {escape(shown['fingerprint'])}</code></h2>"
        f'<div class="card"><table><thead><tr>{over}</tr><tr>{columns}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _row(
    row: dict[str, Any],
    splits: Sequence[str],
    scale: dict[str, tuple[float, float]],
    lead: bool,
    headline: str | None,
    compared: bool,
) -> str:
    names = row["runs"][0] if len(row["runs"]) == 1 else f"{row['runs'][0]} and {len(row['runs']) - 1} more"
    kind, tip = ("transductive", "every query was ranked knowing all the others")
    if not row["transductive"]:
        kind, tip = ("inductive", "re-ranked, each query by itself, over a bank of training queries")
    tag = f'<span class="tag" title="{tip}">{kind}</span>' if row["rerank"] else ""
    title = f"<b>{escape(method_name(row))}</b>{tag}<small>{escape(names)}</small>"
    if row["rerank"]:
        title += f"<small>re-ranked: {escape(row['rerank'])}</small>"
    if row["settings"]:
        title += f'<small class="settings">{escape(row["settings"])}</small>'
    cells = [
        _cell(row["rank"], str(row["rank"])),
        _cell(method_name(row), title, "left name", tooltip=", ".join(row["runs"])),
        _cell(row["views"], escape(str(row["views"]))),
        _cell(len(row["seeds"]), str(len(row["seeds"])), tooltip="seeds " + ", ".join(map(str, row["seeds"]))),
    ]
    for split in splits:
        for _, names in groups(row):
            for name in names:
                value = row[f"{split}/{name}"]
                cells.append(_cell(value, number(value), "first" if name == names[0] else ""))
        cells.append(_bar(row, split, scale[split]))
    if headline:
        cells.append(_cell(row["headline_value"], escape(headline_value(row)), "first"))
    if compared:
        cells.append(_against_first(row))
    cells += [
        _cell(row["worker_seconds"], number(row["worker_seconds"], 0), "first"),
        _cell(row["gpu_seconds"], number(row["gpu_seconds"], 0)),
        _cell(row["commit"], f"<code>{escape(short_commit(row))}</code>", "left first", tooltip=row["commit"]),
    ]
    return f"<tr{' class=lead' if lead else ''}>{''.join(cells)}</tr>"


def _bar(row: dict[str, Any], split: str, scale: tuple[float, float]) -> str:
    value, spread = row[f"{split}/rsum"], row[f"{split}/rsum_sd"]
    if value is None:
        return _cell(None, "", "first")
    low, high = scale
    width = 100 * (value - low) / (high - low) if high > low else 100
    warm = ' class="warm"' if row["transductive"] else ""
    told = f" <span>&plusmn;{spread:.1f}</span>" if spread is not None else ""
    between = (
        f"<small>{row['rsum_low']:.1f} to {row['rsum_high']:.1f}</small>" if row["interval_split"] == split else ""
    )
    inner = f'<b>{value:.1f}</b>{told}{between}<i{warm} style="width:calc({width:.1f}% - 16px)"></i>'
    return _cell(value, inner, "first bar")


def _against_first(row: dict[str, Any]) -> str:
    if row["first_p"] is None:
        return _cell(None, "", "first")
    between = f"{row['first_low']:+.1f} to {row['first_high']:+.1f}, {escape(p_value(row))}"
    of = f"to row {row['first']} on {row['first_split']}"
    return _cell(row["first_difference"], f"{row['first_difference']:+.1f}<small>{between}</small>", "first", of)


def _cell(value: Any, inner: str, kind: str = "", tooltip: str = "") -> str:
    """A cell that sorts by `value`; `inner` is HTML that has been escaped."""
    key = "" if value is None else escape(str(value), quote=True)
    hint = f' title="{escape(tooltip, quote=True)}"' if tooltip else ""
    return f'<td class="{kind}" data-v="{key}"{hint}>{inner}</td>'
