"""Train one run: the loop and its state, validation, schedule, checkpoints, stop requests, memory and dry runs."""
