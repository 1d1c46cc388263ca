"""Packages beside raytrain: made in a test, or the example as pip installs it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from raytrain.config import METHOD_CONFIGS
from raytrain.data.build import SOURCES
from raytrain.recipes import RECIPES
from raytrain.studies import STUDIES
from search_spaces import SPACES

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "raytrain-two-towers"
REGISTRIES: list[Any] = [METHOD_CONFIGS, RECIPES, SPACES, SOURCES, STUDIES]


def write_package(
    folder: Path, name: str, version: str, entries: Mapping[str, Mapping[str, str]], source: str = ""
) -> Path:
    """A package in `folder`, as it lies in site-packages.

    Args:
        folder: to be put on sys.path.
        name: of the package; its module is called the same, with "_" for "-".
        entries: {group: {name: value}}, its entry points.
        source: of the module.
    """
    module = name.replace("-", "_")
    facts = folder / f"{module}-{version}.dist-info"
    facts.mkdir(parents=True)
    (folder / f"{module}.py").write_text(source)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in of.items()) for group, of in entries.items()]
    (facts / "entry_points.txt").write_text("\n".join(lines))
    return folder


def install_example(folder: Path) -> Path:
    """The example package as pip installs it below a folder, without a network; what to put on sys.path."""
    source, site = folder / "source", folder / "site"
    shutil.copytree(EXAMPLE, source)  # pip leaves what it builds beside the sources
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--target", str(site), str(source)], check=True)
    return site


@contextmanager
def installed(site: Path, module: str = "raytrain_two_towers") -> Iterator[None]:
    """The packages of a folder are there for this process, and then they are not, nor is their module."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(site))
            for registry in REGISTRIES:
                registry.refresh()
            yield
    finally:
        for registry in REGISTRIES:
            registry.refresh()
        for name in [name for name in sys.modules if name.partition(".")[0] == module]:
            del sys.modules[name]
