"""The world outside: every verb ends in one line where a folder, a file or a package cannot be used."""

from __future__ import annotations

import builtins
import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import raytrain
from raytrain.api.outside_errors import describe, in_one_line, public_call
from raytrain.cli.main import main
from raytrain.data.table import Table
from raytrain.encoders.tokens import load_tokenizer
from raytrain.errors import RaytrainError, UsageError

NUMBERS = [
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE, errno.ENOENT, errno.ENOTDIR,
    errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP, errno.EXDEV, errno.EIO, errno.ESTALE, errno.EINVAL,
    errno.ECONNREFUSED, errno.EADDRINUSE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT, errno.EFBIG,
]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: errno.errorcode[number])
def test_an_error_of_the_system_has_its_path_and_a_remedy(number: int) -> None:
    line = describe(OSError(number, os.strerror(number), "/data/runs/x"))
    assert line.startswith("/data/runs/x: ") and ". " in line and "Errno" not in line
    assert "Errno" not in describe(OSError(number, os.strerror(number)))
    error = in_one_line(OSError(number, os.strerror(number), "/data"))
    assert error is not None and error.exit_code == (75 if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else 1)


def test_errors_without_a_number_are_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", "/scratch/" + "x" * 80)
    assert "too long a folder for the sockets" in describe(OSError("AF_UNIX path length cannot exceed 107 bytes"))
    assert "name a folder of yours by TMPDIR" in describe(
        FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/scratch']")
    )
    assert describe(OSError("of a library")) == "of a library"
    assert "set HOME" in str(in_one_line(RuntimeError("Could not determine home directory.")))
    assert in_one_line(RuntimeError("our own")) is None


@pytest.mark.parametrize(("package", "extra"), [("ray", "ray"), ("optuna", "ray"), ("PIL", "encode"), ("em", "demo")])
def test_a_missing_package_names_its_extra(package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError) as caught:
        __import__(package)
    error = in_one_line(caught.value)
    assert error is not None and error.exit_code == 2 and f'pip install "raytrain[{extra}]"' in str(error)
    assert in_one_line(ImportError("cannot import name 'x'", name="raytrain.config")) is None


COMMANDS = {
    "data build": "data build captions --root {place} --out {place}/table",
    "data check": "data check {place}/table",
    "data encode": "data encode {place}/table --backbone lite0",
    "data detect": "data detect {place}",
    "train": "train dvse_emoji storage={place} data.table={place}/table name=a",
    "train, workers": "train dvse_emoji storage={place} data.table={place}/table name=a --workers 1",
    "sweep": "sweep dvse --recipe dvse_emoji storage={place} data.table={place}/table --trials 1 --name s",
    "sweep --resume": "sweep dvse --resume {place}/e/s",
    "evaluate": "evaluate {place}/e/a",
    "rerank": "rerank {place}/e/a --trials 0",
    "leaderboard": "leaderboard --storage {place}",
    "leaderboard --out": "leaderboard --storage {empty} --out {place}/out",
    "leaderboard --prices": "leaderboard --storage {empty} --prices {place}",
    "cost": "cost --storage {place}",
    "track sync": "track sync --storage {place} --experiment e",
    "show": "show {place}/run.yaml",
    "submit": "submit --working-dir {place} --address http://127.0.0.1:1 --no-wait -- true",
    "doctor": "doctor --storage {place}",
}


def a_file(place: Path) -> None:
    place.write_text("no folder")


def a_loop(place: Path) -> None:
    place.symlink_to(place.name)


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """No verb may get as far as starting a cluster."""
    for module in ("raytrain.cluster.connect", "raytrain.sweeps.sweep"):  # the second one holds it by its name
        monkeypatch.setattr(f"{module}.connect", lambda address=None: {"address": "127.0.0.1:1"})


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path, int], None]]:
    """Makes every access below a folder fail with an error number, as for a user without the right."""
    real_open, real_os = (
        builtins.open,
        {name: getattr(os, name) for name in ("open", "mkdir", "listdir", "scandir", "stat")},
    )

    def refuse(place: Path, number: int) -> None:
        def guard(real: Any) -> Any:
            def call(path: Any, *given: Any, **named: Any) -> Any:
                if isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(str(place)):
                    raise OSError(number, os.strerror(number), os.fspath(path))
                return real(path, *given, **named)

            return call

        monkeypatch.setattr(builtins, "open", guard(real_open))
        monkeypatch.setattr(io, "open", guard(real_open))
        for name, real in real_os.items():
            monkeypatch.setattr(os, name, guard(real))

    yield refuse
    monkeypatch.undo()


def ends_in_words(command: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command fails, and stdout holds one JSON object that says why."""
    (tmp_path / "empty").mkdir(exist_ok=True)
    verb, *words = [word.format(place=place, empty=tmp_path / "empty") for word in command.split()]
    at = 1 if verb in ("data", "track") else 0
    code = main([verb, *words[:at], "--json", *words[at:]])
    out, err = capsys.readouterr()
    answer = json.loads(out)
    assert code in (1, 2, 3, 4, 75), err
    assert "Traceback" not in err
    assert answer.get("error") or answer.get("problems") or answer.get("checks"), answer


@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize("verb", COMMANDS)
@pytest.mark.parametrize("fault", ["file", "loop"])
def test_every_verb_ends_in_words_where_a_file_or_a_loop_stands(
    verb: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "place"
    {"file": a_file, "loop": a_loop}[fault](place)
    ends_in_words(COMMANDS[verb], place, tmp_path, capsys)


@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize("verb", COMMANDS)
@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO], ids=lambda number: errno.errorcode[number])
def test_every_verb_ends_in_words_where_the_system_refuses(
    verb: str, number: int, refused: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "place"
    (place / "e" / "a").mkdir(parents=True)
    refused(place, number)
    ends_in_words(COMMANDS[verb], place, tmp_path, capsys)


@pytest.mark.parametrize("fault", ["file", "loop", "refused", "full"])
def test_training_whose_storage_cannot_be_used_names_it(
    fault: str, table: Table, refused: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "place"
    if fault in ("refused", "full"):
        place.mkdir()
        refused(place, errno.EACCES if fault == "refused" else errno.ENOSPC)
    else:
        {"file": a_file, "loop": a_loop}[fault](place)
    run = [f"data.table={table.path}", f"storage={place}", "name=a", "encoder.dim=8", "optim.num_epochs=1"]
    code = main(["train", "dvse_emoji", *run, "--tracking", "none"])
    err = capsys.readouterr().err
    assert code == (75 if fault == "full" else 1) and str(place) in err and "Traceback" not in err, err


def test_output_that_nobody_reads_any_more_and_a_device_that_is_full_are_no_tracebacks() -> None:
    command = [sys.executable, "-m", "raytrain.cli", "recipes"]
    for stdout, codes in (("/dev/full", {75, 120}), ("closed pipe", {1})):
        if stdout == "/dev/full":
            with open(stdout, "w") as full:
                done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
        else:
            read, write = os.pipe()
            os.close(read)
            done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
            os.close(write)
        assert "Traceback" not in done.stderr and done.returncode in codes, (stdout, done.stderr, done.returncode)


def test_a_stdout_of_ascii_gets_escapes(tmp_path: Path) -> None:
    (tmp_path / "übung.yaml").write_text("name: [")
    command = [sys.executable, "-m", "raytrain.cli", "show", str(tmp_path / "übung.yaml"), "--json"]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2, done.stderr
    assert b"\\xfcbung.yaml" in done.stderr and b"Traceback" not in done.stderr


def test_a_home_that_cannot_be_used_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    a_file(tmp_path / "home")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for variable in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.setenv(variable, "")  # so that what the command sets is taken back
        monkeypatch.delenv(variable)
    monkeypatch.setattr("ray.init", lambda **given: pytest.fail("this test starts no Ray"))
    assert main(["train", "dvse_emoji", "name=a", f"storage={tmp_path}", "--workers", "1"]) in (1, 4)
    assert str(tmp_path / "home") in capsys.readouterr().err


def test_a_call_from_python_raises_what_the_verb_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    # imported anew, without Ray; afterwards the package and sys.modules have the same module again
    monkeypatch.setattr("raytrain.cluster.ray_train", None, raising=False)
    monkeypatch.delitem(sys.modules, "raytrain.cluster.ray_train", raising=False)
    with pytest.raises(
        UsageError, match=r"needs the package ray, which is not installed: pip install \"raytrain\[ray\]\""
    ):
        raytrain.train("dvse_emoji", {"storage": str(tmp_path)}, workers=2, tracking="none")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UsageError, match=r"needs the package transformers.*raytrain\[encode\]"):
        load_tokenizer("any")
    with pytest.raises(RaytrainError, match="its links lead in a circle") as error, public_call(None):
        raise OSError(errno.ELOOP, "loop", "/data")
    assert isinstance(error.value.__cause__, OSError)
    with pytest.raises(RuntimeError, match="ours"), public_call(None):
        raise RuntimeError("ours")
