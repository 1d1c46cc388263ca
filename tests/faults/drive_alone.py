"""The driver of a sweep whose trials have one worker each: four of them, of which the third cannot but end in NaN."""

from __future__ import annotations

from raytrain.sweeps.options import SweepOptions
from tests.faults.drive_sweep import third_explodes
from tests.sweeps.sweep_driver import drive

TRIALS, EPOCHS = 4, 60

if __name__ == "__main__":
    drive(third_explodes, "alone", EPOCHS, SweepOptions(trials=TRIALS, grace_epochs=EPOCHS, rerank_trials=0))
