"""The packages of the wheel; everything else is in pyproject.toml.

The folder `search_spaces/` goes into the wheel as the package raytrain.search_spaces: a package of its own would take a
common name from the environment (docs/decisions/0012-the-wheel.md). `jobs/` stays in the repository.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["raytrain", "raytrain.*"]), "raytrain.search_spaces"],
    package_dir={"raytrain.search_spaces": "search_spaces"},
)
