"""Files for forges and images: they parse, name what exists, and agree with the project's own."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import raytrain

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def image_requirements() -> ModuleType:
    spec = importlib.util.spec_from_file_location("image_requirements", ROOT / ".ci" / "image_requirements.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_ends_in_time_and_runs_what_exists(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 60
        for step in job["steps"]:
            assert "uses" not in step or re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])
            command = step.get("run", "")
            for target in re.findall(r"\bmake ([\w-]+)", command):
                # the documentation's target comes with its site
                assert target == "docs" or re.search(rf"^{target}:", makefile, re.M), target
            for script in re.findall(r"python ([\w./]+\.py)", command):
                assert (ROOT / script).exists(), script
        for script in job.get("strategy", {}).get("matrix", {}).get("script", []):
            assert (ROOT / "benchmarks" / f"{script}.py").exists(), script


def test_the_matrices_are_the_pythons_and_extras_of_the_project() -> None:
    jobs = read(ROOT / ".github" / "workflows" / "check.yml")["jobs"]
    stated = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if "Python :: 3." in line]
    assert jobs["tests"]["strategy"]["matrix"]["python"] == stated
    matrix = jobs["install"]["strategy"]["matrix"]
    assert matrix["python"] == stated
    assert set(matrix["extra"]) == {"none", *PROJECT["optional-dependencies"]} - {"dev"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_with_fields_that_a_forge_knows(path: Path) -> None:
    form = read(path)
    assert form["name"] and form["description"]
    kinds = {"textarea", "input", "dropdown", "checkboxes"}
    assert all(field["type"] in kinds and field["attributes"]["label"] for field in form["body"])
    assert len({field["id"] for field in form["body"]}) == len(form["body"])


def test_the_version_is_the_same_everywhere() -> None:
    citation = read(ROOT / "CITATION.cff")
    assert citation["version"] == raytrain.__version__ and citation["license"] == PROJECT["license"]
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert (headings[0], headings[-1]) == (raytrain.__version__, "Unreleased")


def test_an_image_installs_what_the_project_states_at_its_versions(image_requirements: ModuleType) -> None:
    extras = re.findall(r"^ARG EXTRAS=(\S+)$", DOCKERFILE, re.M)
    assert len(extras) == 2 and len(set(extras)) == 1
    lines = image_requirements.requirements(PROJECT, extras[0].split(","))
    assert set(PROJECT["dependencies"]) | set(PROJECT["optional-dependencies"]["encode"]) <= set(lines)
    assert not [line for line in lines if line.startswith("raytrain")]
    assert "--constraint /tmp/packages/constraints.txt" in DOCKERFILE
    with pytest.raises(KeyError):
        image_requirements.requirements(PROJECT, ["no-such-extra"])


def test_nothing_in_an_image_runs_as_root_and_it_holds_no_place() -> None:
    final = DOCKERFILE.partition("AS base")[2]
    assert re.search(r"^USER 1000$", final, re.M) and "USER root" not in DOCKERFILE
    assert not re.search(r"https?://", DOCKERFILE)
    copied = set(re.findall(r"^COPY (?:--\S+ )*(.+) \S+$", DOCKERFILE, re.M))
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    for words in copied:
        for name in words.split():
            assert (ROOT / name).exists() and f"!{name.partition('/')[0]}" in ignored, name


def test_clusters_use_the_images_target() -> None:
    targets = set(re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.M))
    for path in (
        ROOT / "cluster.yaml",
        ROOT / "docs" / "clusters" / "gcp.yaml",
        ROOT / "docs" / "clusters" / "rayjob.yaml",
    ):
        named = re.findall(r"docker build --target (\w+)", path.read_text(encoding="utf-8"))
        assert named and set(named) <= targets, path
