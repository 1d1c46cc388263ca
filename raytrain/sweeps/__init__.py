"""Sweeps: Ray Tune runs the trials, an Optuna study draws them, journals record them."""
