"""Refusals."""

from __future__ import annotations

import json

from raytrain.retrieval.serve.replies import POLICY, busy, unread


def test_a_refusal_is_json_with_what_to_do() -> None:
    response = unread(busy("too many")).response()
    assert response.status_code == 503 and response.headers["retry-after"] == "1"
    assert response.headers["connection"] == "close"
    assert json.loads(bytes(response.body)) == {"error": "too many; try again in a moment"}


def test_pages_run_no_script_but_the_services_own_files() -> None:
    assert "unsafe" not in POLICY and "default-src 'none'" in POLICY and "frame-ancestors 'none'" in POLICY
