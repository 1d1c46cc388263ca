"""A published vocab.pkl becomes JSON, and nothing that stands in one is run."""

from __future__ import annotations

import os
import pickle
import random
import struct
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from raytrain.cli.main import main
from raytrain.data.legacy_vocabulary import read_pickled
from raytrain.data.load.words import Vocabulary
from raytrain.errors import DataError

WORDS = ["<pad>", "<start>", "<end>", "<unk>", "dog", "caf\u00e9"]


def published(protocol: int, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """As the published code writes it: an object of the class Vocabulary in a module vocab."""
    module = types.ModuleType("vocab")
    kind = type("Vocabulary", (), {"__module__": "vocab"})
    module.Vocabulary = kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vocab", module)
    made: Any = kind()
    made.word2idx = {word: number for number, word in enumerate(WORDS)}
    made.idx2word = dict(enumerate(WORDS))
    made.idx = len(WORDS)
    return pickle.dumps(made, protocol)


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_is_read_and_written_as_json(
    protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "vocab.pkl", tmp_path / "vocab.json"
    path.write_bytes(published(protocol, monkeypatch))
    assert main(["data", "vocabulary", str(path), "--out", str(out)]) == 0
    assert "7 words" in capsys.readouterr().out
    assert Vocabulary.load(out).words == [*WORDS, "<mask>"]


def test_an_object_of_python_2_is_read(tmp_path: Path) -> None:
    path = tmp_path / "vocab.pkl"
    words = b"".join(b"S'%s'\nI%d\ns" % (word.encode(), number) for number, word in enumerate(WORDS[:5]))
    path.write_bytes(b"(ivocab\nVocabulary\n(dS'word2idx'\n(d" + words + b"sb.")
    assert read_pickled(path).words == [*WORDS[:5], "<mask>"]


class Runs:
    """What a hostile file holds: the call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


HOSTILE = {
    "a call of the system": pickle.dumps(Runs(os.system, "touch ran")),
    "a call inside a vocabulary": pickle.dumps({"word2idx": {"<pad>": Runs(eval, "open('ran', 'w')")}}),
    "an import": b"cos\nsystem\n(S'touch ran'\ntR.",
    "a way through attributes": b"\x80\x04\x8c\x08builtins\x8c\x0dgetattr\x93.",
    "a class of the same name elsewhere": b"cos\nVocabulary\n(S'x'\ntR.",
    "a persistent number": b"Pran\n.",
    "an extension": b"\x80\x02\x82\x01.",
    "room for two thousand million values": b"\x80\x02]r" + struct.pack("<I", 2**31 - 1) + b".",
    "more bytes than there are": b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"x.",
    "no vocabulary": pickle.dumps({"a": 1}),
    "no words": pickle.dumps({"word2idx": [1, 2]}),
    "numbers with a gap": pickle.dumps({"word2idx": {"<pad>": 0, "<start>": 2}}),
    "nothing": b"",
    "text": b"not a pickle",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_vocabulary_is_refused_and_not_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "vocab.pkl"
    path.write_bytes(HOSTILE[name])
    assert main(["data", "vocabulary", str(path), "--out", str(tmp_path / "vocab.json")]) == 3
    assert str(path) in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["vocab.pkl"]


def test_damaged_ones_are_vocabularies_or_data_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [published(protocol, monkeypatch) for protocol in (0, 2, 4)]
    draw, path = random.Random(0), tmp_path / "vocab.pkl"
    read = 0
    for _ in range(600):
        data = bytearray(draw.choice(whole))
        for _ in range(draw.choice((1, 2, 5))):
            data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(data[: draw.choice((len(data), len(data), draw.randrange(len(data))))])
        try:
            read += isinstance(read_pickled(path), Vocabulary)
        except DataError:
            continue
    assert 0 < read < 600


def test_every_refusal_of_a_pickle_names_the_command(tmp_path: Path) -> None:
    (tmp_path / "vocab.pkl").write_bytes(b"")
    with pytest.raises(DataError, match=r"raytrain data vocabulary vocab\.pkl --out vocab\.json"):
        Vocabulary.load(tmp_path / "vocab.pkl")
