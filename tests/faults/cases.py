"""Run the command line on a folder of cases, small inputs that people have or that broke something, and judge each.

The folder holds `01-flickr8k-captions-txt`, `arrow-damaged` and so on, each a small input; it is data, and no part of
the project. A case passes where the command line reads it, or refuses it in a line that names the cause.

    python -m tests.faults.cases FOLDER            # every case
    python -m tests.faults.cases FOLDER 13 yaml    # those whose names begin so

Exit code 1 where a case fails, is not known here, or has no folder.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.tables import make_table

ROOT = Path(__file__).parents[2]
RECIPE = "vse_infinity_emoji"
Cases = dict[str, Callable[["Case"], str]]
CASES: Cases = {}


class Failure(Exception):
    """The command line did something else than what is right."""


@dataclass
class Case:
    """A copy of one case.

    Args:
        input: folder of the copy; commands may change it.
        work: folder in which commands run.
        env: environment variables of commands.
    """

    input: Path
    work: Path
    env: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, timeout_s: float = 120.0, **env: str) -> subprocess.CompletedProcess[str]:
        """`raytrain` with these arguments; it may end with any documented code, and never with a traceback."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **self.env, **env}
        command = [sys.executable, "-m", "raytrain.cli", *arguments]
        try:
            done = subprocess.run(
                command, cwd=self.work, env=environment, capture_output=True, text=True, errors="replace",
                timeout=timeout_s, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Failure(f"{shlex.join(arguments)}: no end after {timeout_s:.0f} s") from None
        if "Traceback (most recent call last)" in done.stderr + done.stdout or done.returncode not in range(6):
            last = (done.stderr.strip().splitlines() or [""])[-1]
            raise Failure(f"{shlex.join(arguments)}: exit {done.returncode}: {last}")
        return done

    def json(self, *arguments: str, **env: str) -> dict[str, Any]:
        """The result of a command that must succeed."""
        done = self.run(*arguments, "--json", **env)
        if done.returncode:
            raise Failure(f"{shlex.join(arguments)}: exit {done.returncode}: {done.stderr.strip()[-300:]}")
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def refused(self, code: int, *arguments: str, says: str, timeout_s: float = 120.0, **env: str) -> str:
        """The message of a command that must end with `code` and a message that matches `says`."""
        done = self.run(*arguments, timeout_s=timeout_s, **env)
        message = done.stderr.strip()
        if done.returncode != code:
            raise Failure(f"{shlex.join(arguments)}: exit {done.returncode}, not {code}: {message[-300:]}")
        if not re.search(says, message, re.IGNORECASE | re.DOTALL):
            raise Failure(f"{shlex.join(arguments)}: the message has no {says!r}: {message[-300:]}")
        return message.splitlines()[0][:160]

    def detected(self, folder: Path | None = None) -> dict[str, Any]:
        """The first layout that `detect` names."""
        layouts = self.json("data", "detect", str(folder or self.input))["layouts"]
        if not layouts:
            raise Failure("detect names no layout")
        layout: dict[str, Any] = layouts[0]
        return layout

    def proposed(self, folder: Path | None = None, **changed: object) -> list[str]:
        """The build that `detect` proposes, also where it prints no command; `changed` options, None leaves one out."""
        layout = self.detected(folder)
        options = {name: value for name, value in {**layout["options"], **changed}.items() if value is not None}
        places = ["--root", str(folder or self.input), "--out", str(self.work / "table")]
        return ["data", "build", layout["source"], *places, *(f"{name}={value}" for name, value in options.items())]

    def built(self, *more: str, folder: Path | None = None) -> dict[str, Any]:
        """The result of the command that `detect` prints; its table is checked."""
        words = shlex.split(self.detected(folder)["command"])
        expect(bool(words), "detect prints no command")
        words[words.index("--out") + 1] = str(self.work / "table")
        result = self.json(*words[1:], *more)
        self.json("data", "check", str(self.work / "table"), "--fail-on", "nothing")
        return result


def case(name: str) -> Callable[[Callable[[Case], str]], Callable[[Case], str]]:
    def register(judge: Callable[[Case], str]) -> Callable[[Case], str]:
        CASES[name] = judge
        return judge

    return register


def expect(right: bool, otherwise: str) -> None:
    if not right:
        raise Failure(otherwise)


def texts_of(case: Case) -> list[str]:
    with pa.memory_map(str(case.work / "table" / "texts.arrow")) as source:
        return [str(text) for text in pa.ipc.open_file(source).read_all()["text"].to_pylist()]


@case("01-flickr8k-captions-txt")
def kaggle_flickr8k(case: Case) -> str:
    result = case.built()
    return f"built: {result['items']} images, {result['texts']} captions"


@case("02-flickr30k-results-csv")
def kaggle_flickr30k(case: Case) -> str:
    message = case.refused(3, *case.proposed(allow_missing=None), says=r"row|line")
    result = case.built()
    return f"{message} | by detect's command: {result['items']} images, {result['texts']} captions"


@case("05b-wds-keys-restart")
def restarting_keys(case: Case) -> str:
    result = case.built()
    return f"built: {result['items']} images, {result['texts']} captions"


@case("10-imagefolder-prefix")
def doubled_folder(case: Case) -> str:
    done = case.run("data", "detect", str(case.input), "--json")
    if done.returncode == 0:
        result = case.built()
        return f"built: {result['items']} images"
    expect("train" in done.stderr, f"no word of the doubled folder: {done.stderr.strip()[-300:]}")
    return done.stderr.strip().splitlines()[0][:160]


@case("12-mac-litter-captions")
def mac_litter(case: Case) -> str:
    layout = case.detected()
    expect(not any("16 images" in description for description in layout["found"]), f"litter counts: {layout['found']}")
    result = case.built()
    return f"built: {result['items']} images; detect: {'; '.join(layout['found'])}"


@case("13-invisible-captions")
def invisible_captions(case: Case) -> str:
    message = case.refused(3, *case.proposed(allow_missing=None), says="no caption|empty|no visible|invisible")
    result = case.json(*case.proposed(allow_missing=0.9))
    invisible = [text for text in texts_of(case) if not any(character.isalnum() for character in text)]
    expect(not invisible, f"captions without a visible character are kept: {invisible}")
    return f"{message[:100]} | with allow_missing: {result['texts']} captions"


@case("14-tab-inside-csv")
def tabs(case: Case) -> str:
    result = case.built()
    return f"{case.detected()['command'].split(' ', 7)[-1]}: {result['items']} images"


@case("15-windows-backslash-paths")
def backslashes(case: Case) -> str:
    return f"built: {case.built()['items']} images"


@case("16-encodings")
def encodings(case: Case) -> str:
    outcomes = []
    for folder in sorted(path for path in case.input.iterdir() if path.is_dir()):
        done = case.run("data", "detect", str(folder), "--json")
        if done.returncode == 0:
            case.built(folder=folder)
            shutil.rmtree(case.work / "table")
            outcomes.append(f"{folder.name}: built")
        else:
            expect(bool(re.search("UTF-8|encod", done.stderr)), f"{folder.name}: {done.stderr.strip()[-200:]}")
            outcomes.append(f"{folder.name}: {done.stderr.strip().splitlines()[0][-90:]}")
    return "; ".join(outcomes)


@case("19-nfc-nfd")
def normal_forms(case: Case) -> str:
    return f"built: {case.built()['items']} images"


@case("21-png-16-bit")
def sixteen_bits(case: Case) -> str:
    done = case.run("data", "build", "captions", "--root", str(case.input), "--out", str(case.work / "table"))
    if done.returncode:
        expect("16" in done.stderr, f"refused for another reason: {done.stderr.strip()[-200:]}")
        return done.stderr.strip().splitlines()[0][:160]
    import numpy as np
    from PIL import Image

    from raytrain.data.images import decode

    path = case.input / "images" / "i16.png"
    right = float(np.asarray(Image.open(path), dtype=np.float64).mean() / 257)
    mean = float(np.asarray(decode(path.read_bytes(), str(path))).mean())
    expect(abs(mean - right) < 3, f"the picture has mean {mean:.1f}, not {right:.1f}")
    return f"decoded with mean {mean:.1f} (of 65,535: {right:.1f})"


@case("27-shared-captions")
def shared_captions(case: Case) -> str:
    done = case.run(*case.proposed())
    expect(done.returncode == 0, done.stderr.strip()[-200:])
    text = done.stdout + done.stderr + (case.work / "table" / "table.json").read_text()
    expect(bool(re.search(r"shared|several images", text)), "shared captions are not counted")
    lines = [line for line in (done.stdout + done.stderr).splitlines() if re.search("shared|several images", line)]
    return lines[0][:160] if lines else "counted in table.json"


@case("28-precomp-one-caption")
def single_captions(case: Case) -> str:
    messages = []
    for folder in sorted(path for path in case.input.iterdir() if path.is_dir()):
        arguments = ["data", "build", "precomp", "--root", str(folder), "--out", str(case.work / folder.name)]
        done = case.run(*arguments)
        if done.returncode:
            expect("texts_per_image=1" in done.stderr, f"{folder.name}: {done.stderr.strip()[-200:]}")
            case.json(*arguments, "texts_per_image=1")
        messages.append(f"{folder.name}: {'names texts_per_image=1, which works' if done.returncode else 'built'}")
    return "; ".join(messages)


@case("29-karpathy-own")
def own_karpathy(case: Case) -> str:
    outcomes = []
    for folder in sorted(path for path in case.input.iterdir() if path.is_dir()):
        done = case.run("data", "build", "karpathy", "--root", str(folder), "--out", str(case.work / folder.name))
        named = re.search(r"row \d+: .*(empty|no caption)", done.stderr)  # an image without sentences is named
        expect(done.returncode == 0 or named is not None, f"{folder.name}: {done.stderr.strip()[-200:]}")
        outcomes.append(f"{folder.name}: {named[0][:60] if named else 'built'}")
    return "; ".join(outcomes)


@case("30-coco-own-annotations")
def own_coco(case: Case) -> str:
    outcomes = []
    for folder in sorted(path for path in case.input.iterdir() if path.is_dir()):
        done = case.run(*case.proposed(folder))
        shutil.rmtree(case.work / "table", ignore_errors=True)
        expect("COCO's site" not in done.stderr, f"{folder.name}: own annotations cannot be fetched again")
        outcomes.append(f"{folder.name}: {done.stderr.strip().splitlines()[0][-100:] if done.returncode else 'built'}")
    return "; ".join(outcomes)


@case("30c-coco-uncaptioned-images")
def uncaptioned(case: Case) -> str:
    message = case.refused(3, *case.proposed(allow_missing=None), says="caption")
    result = case.json(*case.proposed(allow_missing=0.5))
    expect(result["missing"] == 2, f"{result['missing']} images are counted as missing, 2 have no caption")
    return f"{message} | with allow_missing: {result['items']} images, {result['missing']} missing"


@case("31-fashioniq-png")
def png_fashion_iq(case: Case) -> str:
    layout = case.detected()
    result = case.built()
    return f"{layout['options']}: {result['items']} images"


@case("33b-hf-caption-columns")
def caption_columns(case: Case) -> str:
    result = case.built()
    expect(result["texts"] == 5 * result["items"], f"{result['texts']} captions of {result['items']} images")
    return f"built: {result['items']} images, {result['texts']} captions"


@case("34-json-array")
def json_array(case: Case) -> str:
    (case.input / "captions.jsonl").unlink(missing_ok=True)  # leaves the array alone
    return f"built: {case.built()['items']} images"


@case("41-same-picture-two-names")
def copies(case: Case) -> str:
    return case.refused(3, *case.proposed(), says="same|copy|copies")


def trained(case: Case, *overrides: str, **env: str) -> Path:
    """The folder of a run of one epoch on a table of made-up features."""
    table = case.work / "table"
    if not table.exists():
        make_table(table, items=60)
    done = case.json("train", RECIPE, *quick(case), *overrides, **env)
    return Path(done["run"])


def quick(case: Case) -> list[str]:
    return [f"data.table={case.work / 'table'}", "data.min_word_count=1", "optim.batch_size=16", "optim.num_epochs=1"]


@case("51-mlflow-deleted-experiment")
def deleted_experiment(case: Case) -> str:
    run = trained(case, "storage=runs")
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{case.work}/runs/mlflow.db")
    client.delete_experiment(client.get_experiment_by_name(run.parent.name).experiment_id)
    trained(case, "storage=runs", "name=second")
    done = case.run("track", "sync", "--storage", "runs", "--experiment", run.parent.name)
    expect("restor" in done.stderr + done.stdout, f"exit {done.returncode}: {(done.stderr or done.stdout)[-200:]}")
    return (done.stderr.strip() or done.stdout.strip()).splitlines()[-1][:160]


@case("53-mlflow-db-locked-at-start")
def locked_store(case: Case) -> str:
    trained(case, "storage=runs")
    lock = sqlite3.connect(case.work / "runs" / "mlflow.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    started = time.monotonic()
    try:
        trained(case, "storage=runs", "name=second")
    finally:
        lock.close()
    return f"trained in {time.monotonic() - started:.0f} s while the store was locked"


@case("57-moved-storage")
def moved(case: Case) -> str:
    run = trained(case, "storage=runs")
    (case.work / "elsewhere").mkdir()
    (case.work / "table").rename(case.work / "elsewhere" / "table")
    message = case.refused(3, "evaluate", str(run), says="table")
    help_text = case.run("evaluate", "--help").stdout
    expect("--table" in help_text, f"evaluate has no option to name the table anew: {message}")
    case.json("evaluate", str(run), "--table", "elsewhere/table")
    return "refused in one line; --table names it anew"


@case("58-storage-without-rights")
def no_rights(case: Case) -> str:
    make_table(case.work / "table", items=60)
    store = case.work / "store"
    store.mkdir()
    if os.geteuid() == 0:
        command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-m", "raytrain.cli"]
        for folder in (case.work, *case.work.parents):
            if folder.stat().st_uid == os.geteuid() and str(folder).startswith(tempfile.gettempdir() + "/"):
                folder.chmod(folder.stat().st_mode | stat.S_IROTH | stat.S_IXOTH)
    else:
        store.chmod(0o500)
        command = [sys.executable, "-m", "raytrain.cli"]
    messages = []
    for arguments in (
        ["train", RECIPE, *quick(case), f"storage={store}/runs", "--tracking", "none"],
        ["data", "build", "emoji", "--out", f"{store}/table"],
        ["leaderboard", "--storage", str(store), "--out", f"{store}/out"],
    ):
        done = subprocess.run(
            [*command, *arguments], cwd=case.work, capture_output=True, text=True, timeout=120, check=False,
            env={**os.environ, "HOME": "/tmp", "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        expect("Traceback" not in done.stderr, f"{arguments[0]}: {done.stderr.strip().splitlines()[-1:]}")
        expect(done.returncode in range(1, 6), f"{arguments[0]}: exit {done.returncode}")
        messages.append(f"{arguments[0]}: exit {done.returncode}")
    return f"{'; '.join(messages)}; {done.stderr.strip().splitlines()[-1][:100]}"


@case("59-yaml-overrides")
def texts_stay_texts(case: Case) -> str:
    for override in ("name=2026-11-27", "experiment=2026", "name=001", "experiment=no", "storage=/tmp/my runs #1"):
        name, _, value = override.partition("=")
        shown = case.json("show", RECIPE, override)
        config = shown["values"]
        given = config[name]
        expect(str(given) == value, f"{override} became {given!r}")
    return "texts stay as they are written"


@case("60-long-tmpdir")
def long_tmpdir(case: Case) -> str:
    make_table(case.work / "table", items=120)
    folder = Path(tempfile.gettempdir()) / ("x" * 70 + str(os.getpid()))
    folder.mkdir()
    try:  # of the batch sizes that the space draws from, the smallest
        settings = [*quick(case), "optim.batch_size=64"]
        arguments = ["sweep", "vse_infinity_core", "--recipe", RECIPE, *settings, "--trials", "1", "--tracking", "none"]
        done = case.run(*arguments, timeout_s=400, TMPDIR=str(folder))
    finally:
        shutil.rmtree(folder)
    if done.returncode:
        expect("TMPDIR" in done.stderr, done.stderr.strip()[-300:])
    return done.stderr.strip().splitlines()[-1][:160] if done.returncode else "a short folder was taken; trained"


@case("63-categorical-tuples")
def tuples(case: Case) -> str:
    import importlib.util

    from raytrain.config import override
    from raytrain.errors import UsageError
    from raytrain.recipes import RECIPES
    from raytrain.sweeps.initial_trials import first_trials

    specification = importlib.util.spec_from_file_location("spaces_u", case.input / "spaces_u.py")
    assert specification and specification.loader
    spaces = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(spaces)
    base = override(RECIPES[RECIPE](), {"optim.decay_epochs": [1], "name": "s"})
    try:
        message = f"accepted: {first_trials(spaces.tuples, base, grid=False, each_method=False, warm_start=())[0]}"
    except UsageError as error:  # naming the lists to write is as good as accepting the tuples
        message = str(error)
        expect("write lists: [[1], [1, 2]]" in message, message)
    trials = first_trials(spaces.lists, base, grid=False, each_method=False, warm_start=())
    return f"{message} | with lists: {trials[0]}"


@case("68-symlink-loop-in-working-dir")
def links(case: Case) -> str:
    from raytrain.cluster.jobs.package import list_package

    folder = case.work / "wd"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "f.py").write_text("x\n")
    (folder / "loop").symlink_to(".")
    (folder / "sub" / "up").symlink_to("..")
    started = time.monotonic()
    package = list_package(folder)
    seconds = time.monotonic() - started
    expect(seconds < 5, f"took {seconds:.0f} s")
    return f"{sorted(package.sizes)}, left out {package.loops}, in {seconds:.2f} s"[:160]


@case("69-ascii-stdout")
def ascii_output(case: Case) -> str:
    done = case.run("data", "build", "emoji", "--out", "tablé", PYTHONIOENCODING="ascii")
    expect(done.returncode == 0, done.stderr.strip()[-200:])
    return done.stdout.strip()[:120]


@case("arrow-damaged")
def damaged_tables(case: Case) -> str:
    messages = []
    for table in sorted(path for path in case.input.iterdir() if path.is_dir()):
        messages.append(case.refused(3, "data", "check", str(table), says=r"items\.arrow|texts\.arrow"))
        # 4, a refusal to go on: an edit that relabels splits looks the same as damage
        case.refused(4, "train", RECIPE, f"data.table={table}", "--tracking", "none", says=r"items|texts|\.arrow")
    return messages[0]


@case("yaml-hostile")
def hostile_recipes(case: Case) -> str:
    messages = []
    for path in sorted(case.input.glob("*.yaml")):
        message = case.refused(2, "show", str(path), says=".", timeout_s=20)
        expect("\x1b" not in message, f"{path.name}: an escape reaches the terminal")
        messages.append(f"{path.name}: {message[-60:]}")
    return "; ".join(messages)


def judge(name: str, source: Path) -> tuple[bool, str]:
    """Whether a case passes, and what was seen."""
    with tempfile.TemporaryDirectory(prefix="rtc", ignore_cleanup_errors=True) as folder:
        work = Path(folder) / "work"
        work.mkdir()
        inner = source / "input" if (source / "input").is_dir() else source
        copy = Path(folder) / "data"
        shutil.copytree(inner, copy, symlinks=True)
        try:
            return True, CASES[name](Case(copy, work))
        except Failure as failure:
            return False, str(failure)
        except Exception as error:  # the case's own Python calls
            return False, f"{type(error).__name__}: {error}"


def main(arguments: Sequence[str]) -> int:
    root, chosen = Path(arguments[0]), arguments[1:]
    names = sorted({path.name for path in root.iterdir() if path.is_dir()} | CASES.keys())
    failures = 0
    for name in names:
        if chosen and not any(name.startswith(start) for start in chosen):
            continue
        if name not in CASES:
            passed, outcome = False, "nobody wrote down what is right"
        elif not (root / name).is_dir():
            passed, outcome = False, "no such folder"
        else:
            passed, outcome = judge(name, root / name)
        failures += not passed
        print(f"{'pass' if passed else 'FAIL'}  {name}: {outcome}", flush=True)
    print(f"{failures} of {len(names)} cases failed" if failures else "every case passed")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
