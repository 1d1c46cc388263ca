"""Install a wheel into fresh environments, one per Python and extra, and look whether each works.

    python .ci/try_install.py dist/raytrain-0.2.0-py3-none-any.whl --python python3.11 python3.12 --extra none ray all

Each environment is made with constraints.txt, `pip check` finds nothing, every module of raytrain imports or lacks a
package of another extra, `raytrain` lists its recipes and spaces from an empty folder, and the table says how large the
environment is and how long the core takes to import. An environment is removed once it was looked at.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NONE = "none"
"""Stands for an installation without an extra."""
IMPORT_ALL = """
import importlib, json, pkgutil, sys, raytrain
lacking, failed, modules = set(), [], 0
for module in pkgutil.walk_packages(raytrain.__path__, "raytrain."):
    if module.name.endswith("__main__"):
        continue
    modules += 1
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        lacking.add((error.name or "").partition(".")[0])
    except Exception as error:
        failed.append(f"{module.name}: {error!r}")
print(json.dumps({"modules": modules, "lacking": sorted(lacking), "failed": failed, "file": raytrain.__file__}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--python", nargs="+", default=[sys.executable], help="interpreters")
    parser.add_argument("--extra", nargs="+", default=[NONE, "all"], help=f"extras; {NONE} for the core alone")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="for the environments")
    arguments = parser.parse_args()
    print("| Python | extra | pip check | modules | lacking | import | recipes, spaces | size | installed in |")
    print("| --- | --- | --- | ---: | --- | ---: | --- | ---: | ---: |", flush=True)
    failures = 0
    for python in arguments.python:
        for extra in arguments.extra:
            folder = Path(tempfile.mkdtemp(prefix="install-", dir=arguments.folder))
            try:
                print(try_one(arguments.wheel.resolve(), python, extra, folder), flush=True)
            except (subprocess.CalledProcessError, AssertionError) as error:
                failures += 1
                output = getattr(error, "stdout", "") or ""
                print(f"{python} {extra}: {error}\n{output[-2000:]}", file=sys.stderr, flush=True)
            finally:
                shutil.rmtree(folder)
    return 1 if failures else 0


def try_one(wheel: Path, python: str, extra: str, folder: Path) -> str:
    """A row of the table.

    Raises:
        CalledProcessError: a command failed.
        AssertionError: a module failed otherwise than by a package of another extra.
    """
    run([python, "-m", "venv", str(folder / "venv")], folder)
    own = str(folder / "venv" / "bin" / "python")
    requirement = str(wheel) if extra == NONE else f"{wheel}[{extra}]"
    started = time.monotonic()
    run([own, "-m", "pip", "install", "--quiet", "--constraint", str(ROOT / "constraints.txt"), requirement], folder)
    seconds = time.monotonic() - started
    checked = run([own, "-m", "pip", "check"], folder).strip()
    imports = json.loads(run([own, "-c", IMPORT_ALL], folder).splitlines()[-1])
    assert not imports["failed"], imports["failed"]
    assert str(folder) in imports["file"], imports["file"]
    assert extra != "all" or not imports["lacking"], imports["lacking"]
    raytrain = str(folder / "venv" / "bin" / "raytrain")
    counts = [len(json.loads(run([raytrain, verb, "--json"], folder).splitlines()[-1])[verb])
              for verb in ("recipes", "spaces")]  # fmt: skip
    version = run([own, "-c", "import platform; print(platform.python_version())"], folder).strip()
    size = sum(
        path.lstat().st_size for path in (folder / "venv").rglob("*") if path.is_file() and not path.is_symlink()
    )
    cells = (
        version, extra, checked, imports["modules"], ", ".join(imports["lacking"]) or "nothing",
        f"{1000 * import_s(own, folder):.0f} ms", ", ".join(map(str, counts)), f"{size / 1e9:.2f} GB",
        f"{seconds:.0f} s",
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def import_s(python: str, folder: Path) -> float:
    """Seconds of a CPU that `import raytrain` takes, the least of five tries; other processes do not change it."""
    code = "import time; start = time.process_time(); import raytrain; print(time.process_time() - start)"
    return min(float(run([python, "-c", code], folder)) for _ in range(5))


def run(command: list[str], folder: Path) -> str:
    """What a command prints, in an empty folder and with nothing of this checkout on its path."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    empty = folder / "empty"
    empty.mkdir(exist_ok=True)
    done = subprocess.run(command, cwd=empty, env=kept, capture_output=True, text=True, check=False)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout + done.stderr)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
