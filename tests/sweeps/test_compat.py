"""The private names of Ray and Optuna that a sweep uses, held against the versions that are installed.

A failure here after an upgrade says which part of raytrain/sweeps/compat.py to look at, and what it needs.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

optuna = pytest.importorskip("optuna", reason="the searches are Optuna's")
pytest.importorskip("ray.tune", reason="Ray is not installed")

from raytrain.sweeps import compat
from raytrain.sweeps.study import LOCK_SUFFIX, open_study
from tests.sweeps.small_sweep import SIX, rate


def test_the_study_of_a_search_is_ours_and_its_trials_are_counted(tmp_path: Path) -> None:
    study = open_study(tmp_path, "s", SIX)
    reason = (
        "StudyLedger: OptunaSearch accounts for its trials otherwise (_ot_study, _ot_trials, _completed_trials), or a "
        "study keeps its storage under another name than _storage"
    )
    try:
        search = compat.StudyLedger(study, rate, "best", "max")
        first = search.suggest("a")
        search.suggest("b")
        running = search.running()
    except (AttributeError, TypeError) as error:
        pytest.fail(f"{reason}: {error}")
    assert running == 2, reason
    assert search.optuna_trial("a").params == first, reason
    assert [trial.number for trial in study.get_trials()] == [0, 1], reason  # in the file of the sweep
    search.on_trial_complete("a", {"best": 1.0})
    assert search.running() == 1, reason
    search.leave_open("b")
    search.on_trial_complete("b", {"best": 1.0})
    assert (search.running(), study.get_trials()[1].state.name) == (0, "RUNNING"), reason


def test_a_trial_of_the_study_can_be_handed_out_again_under_its_number(tmp_path: Path) -> None:
    study = open_study(tmp_path, "s", SIX)
    before = study.ask()
    rate(before)
    search = compat.StudyLedger(open_study(tmp_path, "s", SIX), rate, "best", "max")
    reason = (
        "StudyLedger.hand_out: optuna.Trial is no longer made from a study and a FrozenTrial's _trial_id, or "
        "OptunaSearch asks for a new trial although it has one of that id"
    )
    try:
        search.hand_out("again", 0)
        values = search.suggest("again")
    except (AttributeError, TypeError) as error:
        pytest.fail(f"{reason}: {error}")
    assert (values, search.optuna_trial("again").number, len(study.get_trials())) == (before.params, 0, 1), reason


def test_tune_asks_the_scheduler_before_the_study_hears_of_an_error() -> None:
    from ray.tune.execution.tune_controller import TuneController

    source = inspect.getsource(TuneController._process_trial_failure)
    places = [source.find(call) for call in ("_scheduler_alg.on_trial_error(", "_search_alg.on_trial_complete(")]
    assert -1 not in places and places == sorted(places), (
        "stops_at_fatal_error of raytrain/sweeps/tune_trials.py: Tune no longer asks its scheduler before it ends the "
        "trial in the study; a refused trial would be recorded as failed and not resumed"
    )


def test_an_autoscaler_is_asked_by_an_actor_that_forgets() -> None:
    reason = (
        "autoscaling_coordinator: Ray Data's client of the coordinator has moved or takes other arguments; see what "
        "Ray Train's AutoscalingCoordinatorClient calls"
    )
    calls: list[tuple[str, dict[str, Any]]] = []

    class Remote:
        def __init__(self, name: str) -> None:
            self.name = name

        def remote(self, *given: Any, **more: Any) -> None:
            calls.append((self.name, dict(enumerate(given)) | more))  # type: ignore[arg-type]

    class Actor:
        request_resources, cancel_request = Remote("request"), Remote("cancel")

    try:
        client = compat.autoscaling_coordinator("raytrain-1")
        client.__dict__["_autoscaling_coordinator"] = Actor()
        client.request_resources([{"CPU": 1.0}], 180.0)
        client.cancel_request()
    except (ImportError, AttributeError, TypeError) as error:
        pytest.fail(f"{reason}: {error}")
    (_, request), (_, cancelled) = calls
    asked = {"requester_id": "raytrain-1", "resources": [{"CPU": 1.0}], "expire_after_s": 180.0}
    assert {name: request.get(name) for name in asked} == asked, reason
    assert "raytrain-1" in cancelled.values(), reason


def test_the_lock_of_a_study_that_a_killed_writer_left_is_found_by_its_name() -> None:
    from optuna.storages.journal import _file

    assert LOCK_SUFFIX == _file.LOCK_FILE_SUFFIX, (
        "LOCK_SUFFIX of raytrain/sweeps/study.py: Optuna names the lock of a journal file otherwise; after a kill a "
        "resumed sweep would wait for a lock that nobody holds"
    )
