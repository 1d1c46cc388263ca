"""Every plot of recorded runs is an SVG file of its own, shown on one page."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from docs.site.plots import plots
from raytrain.tracking.journal import Journal
from tests.review.made_runs import make_run


def test_plots_are_files_of_their_own_on_one_page(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a")
    journal = Journal(tmp_path / "e" / "s")
    journal.write("start", uid="s", kind="sweep", run="s", experiment="e", config={})
    for number in range(3):
        journal.write("trial", number=number, run=f"t{number}", params={}, state="complete", value=1.0, epochs=1)
    text, files = plots(tmp_path)
    assert list(files) == ["plot00.svg"] and "![Trials of sweep e/s](plot00.svg)" in text
    drawn = ElementTree.fromstring(files["plot00.svg"])
    assert drawn.tag.endswith("svg") and "http:" not in files["plot00.svg"].replace("http://www.w3.org/2000/svg", "")
