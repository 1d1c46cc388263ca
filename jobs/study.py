"""`raytrain study` as a job: `raytrain submit -- python jobs/study.py run ...`; same exit codes."""

from __future__ import annotations

import sys
from pathlib import Path

# a submitted job has the tree of --working-dir, and not always an installed raytrain
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from raytrain.cli.main import entry

if __name__ == "__main__":
    entry("study")
