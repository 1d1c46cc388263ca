"""Bounds that only hold together."""

from __future__ import annotations

from raytrain.retrieval.serve.limits import Limits
from raytrain.retrieval.texts import MAX_CHARACTERS


def test_a_text_of_the_greatest_length_fits_a_request_however_it_is_written() -> None:
    limits = Limits()
    assert len(r"\ud83d\ude00") * MAX_CHARACTERS < limits.max_json_bytes
    assert limits.max_pictures <= limits.max_uploads <= limits.max_requests <= limits.max_connections
    assert limits.head_s + limits.upload_s + limits.answer_s < limits.connection_s
