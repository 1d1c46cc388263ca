"""Everything that knows Ray: training under Ray Train, sweeps under Ray Tune, connecting and checking a cluster."""
