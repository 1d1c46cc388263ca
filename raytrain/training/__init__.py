"""Train one run: the loop and its state, validation, schedule, checkpoints, stopping, and memory before a first step."""
