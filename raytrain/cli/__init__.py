"""The command line: `raytrain <verb>`. One file per group of verbs; main.py puts them together."""
