"""Who may ask; headers of every answer."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from raytrain.retrieval.serve.replies import SECURITY_HEADERS
from tests.retrieval.serve.clients import HOST

SEARCH = {"text": "a dog", "k": 1}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": f"http://{HOST}"}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}, 200),
        ({"host": "evil.example"}, 421),
        ({"host": "evil.example", "origin": "http://evil.example"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_a_search_is_asked_by_the_services_own_page_or_by_no_page(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    assert client.post("/search", json=SEARCH, headers=headers).status_code == status


def test_pages_of_other_sites_open_the_page_and_take_nothing_else(client: TestClient) -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert client.get("/", headers=link).status_code == 200
    picture = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
    assert client.get("/thumbnail/3.jpg", headers=picture).status_code == 403
    frame = link | {"sec-fetch-dest": "iframe"}
    assert client.get("/", headers=frame).status_code == 403


@pytest.mark.parametrize("path", ["/", "/static/serve.js", "/thumbnail/3.jpg", "/nothing", "/healthz"])
@pytest.mark.parametrize("host", [HOST, "evil.example"])
def test_every_answer_has_the_headers(client: TestClient, path: str, host: str) -> None:
    answer = client.get(path, headers={"host": host})
    assert SECURITY_HEADERS.items() <= dict(answer.headers).items()
    is_picture = path.startswith("/thumbnail") and host == HOST
    assert answer.headers["cache-control"] == ("private, max-age=3600" if is_picture else "no-store")
