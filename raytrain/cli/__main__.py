"""`python -m raytrain.cli`: the same as the console script `raytrain`."""

from raytrain.cli.main import entry

entry()
