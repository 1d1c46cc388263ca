"""Random search whose draws depend on the seed, the trial's number and the field alone.

So trial 17 has the same settings whatever trained beside it, and however often the sweep was resumed before it.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import optuna


class RandomByNumber(optuna.samplers.RandomSampler):
    """Uniform draws as those of Optuna's RandomSampler, each from a seed of its own.

    Args:
        seed: of the search.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.seed = seed

    def sample_independent(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        param_name: str,
        param_distribution: optuna.distributions.BaseDistribution,
    ) -> Any:
        words = np.random.SeedSequence([self.seed, trial.number, zlib.crc32(param_name.encode())]).generate_state(1)
        sampler = optuna.samplers.RandomSampler(seed=int(words[0]))
        return sampler.sample_independent(study, trial, param_name, param_distribution)
