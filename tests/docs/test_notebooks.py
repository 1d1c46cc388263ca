"""The notebooks run on made-up data, in this process, and are stored without outputs."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from raytrain.config import METHOD_CONFIGS
from raytrain.tracking.journal import Journal
from tests.data.pictures import write_image
from tests.encoders.tiny_models import bert, vit
from tests.review.made_runs import make_run
from tests.tables import make_query_table, make_table

NOTEBOOKS = Path(__file__).resolve().parents[2] / "docs" / "notebooks"


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """The module in which cells run, as `__main__` of a notebook."""
    monkeypatch.chdir(tmp_path)
    module = ModuleType("notebook_of_a_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    yield module
    METHOD_CONFIGS.pop("own", None)


def run(name: str, module: ModuleType, **parameters: Any) -> list[Any]:
    """The value of each code cell; parameters take the place of those that the first cell sets."""
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    values = []
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        parsed = ast.parse("".join(cell["source"]))
        last = parsed.body.pop() if isinstance(parsed.body[-1], ast.Expr) else None
        exec(compile(parsed, name, "exec"), vars(module))
        if not values:
            unknown = parameters.keys() - vars(module).keys()
            assert not unknown, f"{name} has no {unknown}"
            vars(module).update(parameters)
        values.append(eval(compile(ast.Expression(last.value), name, "eval"), vars(module)) if last else None)
    return values


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs_and_names_no_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    cells = json.loads(text)["cells"]
    assert cells[0]["cell_type"] == "markdown" and cells[0]["source"][0].startswith("# ")
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)
    assert not re.search(r"""["'(=\s]/\w+/""", text), "an absolute path"


def test_your_own_photos(notebook: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, rows = tmp_path / "photos", ["image,text"]
    for number in range(30):
        write_image(photos / "images" / f"{number}.jpg", number)
        rows += [f"{number}.jpg,a dog runs on grass {number}", f"{number}.jpg,a cat {number}"]
    (photos / "captions.csv").write_text("\n".join(rows) + "\n")
    models = {"IMAGE_BACKBONE": str(vit(tmp_path / "vit")), "TEXT_BACKBONE": str(bert(tmp_path / "bert"))}
    values = run("your_own_photos", notebook, PHOTOS=photos, EPOCHS=2, **models)
    assert sum(split["items"] for split in values[1].values()) == 30
    assert [epoch for epoch, _ in values[4]] == [1, 2]
    assert len(values[5]) in (4, 5)  # hits
    assert values[6][0].keys() >= {"i2t/recall_at_1", "t2i/recall_at_10"}
    assert "first epoch 2/2" in capsys.readouterr().out


def test_read_a_sweep(notebook: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("pandas", reason="the notebook makes DataFrames")
    sweep = tmp_path / "runs" / "e" / "s"
    journal = Journal(sweep)
    journal.write("start", uid="u", kind="sweep", run="s", experiment="e", config={})
    for number in range(4):
        name = f"s-t{number:03d}"
        make_run(tmp_path / "runs" / "e" / name, strength=1 + 0.2 * number, **{"optim.lr": 1e-4 * (number + 1)})
        journal.write("trial", number=number, run=name, state="complete", value=300.0 + number, epochs=2,
                      params={"optim.lr": 1e-4 * (number + 1), "method.views": 4}, error=None)  # fmt: skip
    values = run("read_a_sweep", notebook, SWEEP=str(sweep))
    assert "4 trials, 0 failed" in values[2]
    assert values[4]["optim.lr"] == pytest.approx(1.0)
    assert len(values[6]) == 4 and values[7][0] == {"finished": 4}


def test_a_method_of_your_own(notebook: ModuleType, tmp_path: Path) -> None:
    table = make_table(tmp_path / "table", items=40)
    values = run("a_method_of_your_own", notebook, TABLE=str(table.path))
    assert all(best > 0 for best in values[3])
    assert {row[1] for row in values[4]} == {"own", "vse_infinity"}


def test_composed_retrieval(notebook: ModuleType, tmp_path: Path) -> None:
    table = make_query_table(tmp_path / "table")
    values = run("composed_retrieval", notebook, TABLE=str(table.path))
    assert values[1][2] > 0 and all(best > 0 for best in values[2])
    assert len(values[3]) == 2 and "map_at_r" in values[4][1]
