"""A trained model by one call: silent unless asked, and errors of the world outside in words."""

from __future__ import annotations

from pathlib import Path

import pytest

import raytrain
from raytrain.progress import ProgressEvent


def test_a_run_is_loaded_in_silence_and_its_news_goes_to_a_callback(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from raytrain.retrieval import load as module

    def tells(*given: object) -> str:
        module_say("verifying features")
        return "a retriever"

    from raytrain.progress import say as module_say

    assert type(raytrain.load(run)).__name__ == "Retriever"
    monkeypatch.setattr(module, "load", tells)
    news: list[ProgressEvent] = []
    assert raytrain.load(run) == "a retriever"
    raytrain.load(run, progress=news.append)
    assert [event.text for event in news] == ["verifying features"]
    assert capsys.readouterr() == ("", "")


def test_what_the_system_refuses_is_told_in_words(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object) -> None:
        raise PermissionError(13, "Permission denied", str(run))

    monkeypatch.setattr("raytrain.retrieval.load.load", refuse)
    monkeypatch.setattr("raytrain.tracking.run_record.read_run", refuse)
    for call in (raytrain.load, raytrain.history):
        with pytest.raises(raytrain.RaytrainError, match="may not read or write it"):
            call(run)
