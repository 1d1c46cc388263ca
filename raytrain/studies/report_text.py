"""The words and numbers of a study's report, as its page and its Markdown both show them."""

from __future__ import annotations

from raytrain.studies.report import Cell, StudyReport
from raytrain.studies.verdict import LEVEL, Decided

READING = (
    "Each value is the mean over seeds, with its standard deviation. Below a value stands the difference to the "
    f"baseline with its {LEVEL:.0%} interval, corrected for the variants of the column: of recalls it covers images "
    "and seeds (images alone where a side has one seed), paired on the same queries; of other measures seeds alone. "
    "The budget is the same for all variants, but for those whose name says otherwise."
).replace("%", " %", 1)


def headers(report: StudyReport) -> list[str]:
    """Of the table of variants."""
    return ["Variant", "Seeds", *(measure.title for measure in report.study.measures)]


def value_text(cell: Cell) -> str:
    """ "312.4 ± 0.8 (published 500.8)"; a dash without a run."""
    if cell.mean is None:
        return "-"
    text = number(cell.mean, cell.digits)
    text += f" ± {number(cell.sd, cell.digits)}" if cell.sd is not None else ""
    return text + (f" (published {number(cell.published, cell.digits)})" if cell.published is not None else "")


def difference_text(cell: Cell) -> str:
    """ "-3.1 (-4.0 to -2.2)"; "" of the baseline."""
    if cell.difference is None:
        return ""
    text = signed(cell.difference, cell.digits)
    if cell.interval is None:
        return f"{text} (one seed)"
    low, high = (signed(bound, cell.digits) for bound in cell.interval)
    return f"{text} ({low} to {high})"


def claim_texts(report: StudyReport) -> list[tuple[str, str, str]]:
    """(what is claimed, difference with its interval, outcome) of each claim."""
    return [(of.claim.sentence, _claim_numbers(report, of), of.outcome) for of in report.decided]


def _claim_numbers(report: StudyReport, of: Decided) -> str:
    if of.difference is None or of.interval is None:
        return "no runs yet"
    measure = report.study.measure(of.claim.measure)
    against = of.claim.against or report.study.baseline
    numbers = Cell(None, None, of.difference, of.interval if of.seeds > 1 else None, None, measure.digits)
    return f"{measure.title} of {of.claim.variant} against {against}: {difference_text(numbers)}"


def scatter_text(report: StudyReport) -> str:
    """Spearman's rho of the drawn pair of measures, in words; "" where there is none."""
    if report.scatter is None or report.scatter[1] is None or report.study.scatter is None:
        return ""
    rho, p = report.scatter[1]
    x, y = (report.study.measure(name).title for name in report.study.scatter)
    return f"Over {len(report.scatter[0])} runs, {x} and {y} have a rank correlation of {rho:.2f} (p = {p:.2g})."


def number(value: float, digits: int) -> str:
    """Without a minus before zero."""
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def signed(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:+,.{digits}f}"
