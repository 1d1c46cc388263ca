"""Charts of runs and sweeps as inline SVG, and the numbers that they show."""
