"""Print what raytrain and some of its extras require, from pyproject.toml beside this file: a layer without raytrain.

python image_requirements.py ray,mlflow,encode
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path


def requirements(project: dict[str, object], extras: list[str]) -> list[str]:
    """Each requirement once; an extra of raytrain that an extra names is followed.

    Args:
        project: the table of that name in pyproject.toml.
        extras: names of them; one that does not exist is a KeyError.
    """
    optional: dict[str, list[str]] = project["optional-dependencies"]  # type: ignore[assignment]
    lines: list[str] = list(project["dependencies"])  # type: ignore[call-overload]
    waiting, seen = list(extras), set[str]()
    while waiting:
        extra = waiting.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for line in optional[extra]:
            own = re.fullmatch(r"raytrain\[(.+)\]", line)
            if own:
                waiting += own[1].split(",")
            else:
                lines.append(line)
    return list(dict.fromkeys(lines))


if __name__ == "__main__":
    pyproject = Path(__file__).with_name("pyproject.toml").read_text(encoding="utf-8")
    names = [name for name in sys.argv[1].split(",") if name]
    print("\n".join(requirements(tomllib.loads(pyproject)["project"], names)))
