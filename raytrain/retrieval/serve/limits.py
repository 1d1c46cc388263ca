"""What the service takes of a client at most: bytes, pixels, seconds, and how much at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of the service; what is beyond them is refused with a 4xx, or with 503 where it is only too much at once.

    Memory that clients can make it hold is at most about max_uploads * max_image_bytes + max_pictures * max_pixels * 3
    bytes, and what decoding takes beside it.

    Args:
        max_connections: that are open; further ones are closed at once.
        max_requests: that are in work or wait.
        max_uploads: of those, images that are being received or wait.
        max_pictures: images that are held decoded, from decoding to the answer.
        max_waiting: queries that wait for the model.
        max_batch: queries that the model answers together.
        decoders: threads that decode images.
        max_head_bytes: of a request's line and headers.
        max_json_bytes, max_image_bytes: of a request's body.
        max_pixels: of an image; more are refused before any is decoded.
        max_scans: of a progressive JPEG, each of which goes over all pixels.
        max_results: of a query.
        head_s: until a request's headers are whole.
        idle_s: between two requests of a connection.
        upload_s: from the headers on, until a request's body is whole.
        answer_s: from then on, until there is an answer.
        connection_s: that a request may take in all, with a client that is slow to read its answer.
        shutdown_s: for requests in work when the service is to end.
        cached_thumbnails: that are kept in memory.
    """

    max_connections: int = 512
    max_requests: int = 256
    max_uploads: int = 16
    max_pictures: int = 4
    max_waiting: int = 256
    max_batch: int = 32
    decoders: int = 2
    max_head_bytes: int = 16 * 2**10
    max_json_bytes: int = 128 * 2**10
    max_image_bytes: int = 16 * 2**20
    max_pixels: int = 40_000_000
    max_scans: int = 100
    max_results: int = 100
    head_s: float = 10.0
    idle_s: int = 5
    upload_s: float = 20.0
    answer_s: float = 30.0
    connection_s: float = 90.0
    shutdown_s: float = 10.0
    cached_thumbnails: int = 2_000
