from __future__ import annotations

import json

from raytrain.errors import Problem
from raytrain.review.watch.progress import Best, OpenRun, Progress


def test_the_json_has_the_keys_that_others_rely_on() -> None:
    progress = Progress(
        "s", "/s", "sweep", "running", "val/rsum", best=Best("s-t0", 1.0, {"optim.lr": 0.1}, "running"),
        running=[OpenRun("s-t0", 1, 2, 1.0, 1.0, 3.0)], left_s=5.0, problems=[Problem("f", 1, "w", "x")],
    )  # fmt: skip
    fields = json.loads(json.dumps(progress.as_dict()))
    assert fields["best"]["params"] == {"optim.lr": 0.1} and fields["running"][0]["epoch"] == 1
    assert fields["left_s"] == 5.0 and fields["skipped"][0]["row"] == 1 and "problems" not in fields


def test_a_status_that_is_no_end_has_not_ended() -> None:
    for status in ("starting", "running", "silent"):
        assert not Progress("s", "/s", "sweep", status, "m").has_ended
    for status in ("finished", "failed", "interrupted", "killed", "pruned"):
        assert Progress("s", "/s", "sweep", status, "m").has_ended
