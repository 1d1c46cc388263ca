"""Every private name of Ray and Optuna that raytrain.sweeps touches, each with the reason why no public one will do.

tests/sweeps/test_compat.py holds them against the installed versions: after an upgrade it says what to look at here.
Importing this imports Ray Tune, so it is imported where a sweep runs.
"""

from __future__ import annotations

from typing import Any

import optuna
from ray.tune.search.optuna import OptunaSearch


class StudyLedger(OptunaSearch):  # type: ignore[misc]
    """Tune's OptunaSearch over a study of ours, with its account of Tune's trials by public names.

    OptunaSearch creates every trial itself and says neither which Optuna trial belongs to which of Tune's, nor how
    many are running; a resumed sweep has to hand out trials that exist.

    Args:
        space: draws the fields of a trial.
        metrics, modes: of each objective; lists where there are two.
    """

    def __init__(self, study: optuna.Study, space: Any, metrics: str | list[str], modes: str | list[str]) -> None:
        super().__init__(
            space,
            metric=metrics,
            mode=modes,
            study_name=study.study_name,
            storage=study._storage,  # a study does not give away the storage it was opened on
            sampler=study.sampler,
        )

    def running(self) -> int:
        """Number of trials that were handed out and have not ended."""
        return len(self._ot_trials) - len(self._completed_trials)

    def optuna_trial(self, trial_id: str) -> optuna.Trial:
        """The trial of the study that Tune knows as `trial_id`."""
        return self._ot_trials[trial_id]  # type: ignore[no-any-return]

    def hand_out(self, trial_id: str, number: int) -> None:
        """Give Tune's next trial the number and the values of a trial that the study has already.

        Values that the trial has been given are drawn again as they were; what a kill left open is drawn now.
        """
        stored = self._ot_study.get_trials(deepcopy=False)[number]
        self._ot_trials[trial_id] = optuna.Trial(self._ot_study, stored._trial_id)

    def leave_open(self, trial_id: str) -> None:
        """Count a trial as ended here, and leave it RUNNING in the study."""
        self._completed_trials.add(trial_id)


def autoscaling_coordinator(name: str) -> Any:
    """The client through which Ray's libraries ask an autoscaler for nodes; `name` is that of the one who asks.

    Its public counterpart, `ray.autoscaler.sdk.request_resources`, keeps one request per cluster, which every library
    overwrites.
    """
    from ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator import DefaultAutoscalingCoordinator

    return DefaultAutoscalingCoordinator(name)
