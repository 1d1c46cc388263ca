"""The verb that lets people search in a browser: serve."""

from __future__ import annotations

import socket
from typing import Annotated, Any

import typer

from raytrain.cli.options import Device, OneSplit, OtherTable, TrainedModel
from raytrain.cli.verb import CLUSTER, announce, option, verb

app = typer.Typer()
_SERVICE = "Service"


@verb(
    app,
    "serve",
    "raytrain serve runs/emoji/RUN",
    "raytrain serve runs/flickr8k/RUN --split val --rerank --port 8080",
    "raytrain serve runs/flickr8k/RUN --host 0.0.0.0 --name photos.example.org",
    "raytrain serve /mnt/shared/runs/flickr8k/RUN --cluster --replicas 4",
    panel="Use",
)
def run_serve(
    folder: TrainedModel,
    *,
    table: OtherTable = None,
    split: OneSplit = None,
    host: Annotated[
        str,
        option("--host", _SERVICE, "address to listen on; beyond this machine, a token is asked for", metavar="HOST"),
    ] = "127.0.0.1",
    port: Annotated[int, option("--port", _SERVICE, "0 takes a free one", min=0, max=65535, metavar="N")] = 8000,
    token_file: Annotated[
        str | None,
        option(
            "--token-file",
            _SERVICE,
            "file with the token to ask for; default ~/.raytrain/serve_token, which is made",
            metavar="FILE",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        option(
            "--name", _SERVICE, "host name that it is called by, as behind a proxy; may be repeated", metavar="HOST"
        ),
    ] = None,
    rerank: Annotated[bool, option("--rerank", _SERVICE, "the page re-ranks unless it is switched off there")] = False,
    cluster: Annotated[
        bool, option("--cluster", CLUSTER, "serve by Ray Serve, on the cluster of RAY_ADDRESS or one started here")
    ] = False,
    replicas: Annotated[int, option("--replicas", CLUSTER, "of the model, with --cluster", metavar="N")] = 1,
    device: Device = None,
) -> dict[str, Any]:
    """Serve a page, and an API, to search the images and captions of a table.

    It runs until Ctrl-C or SIGTERM. As JSON, url, token_file and run are printed once it listens.
    """
    from raytrain.retrieval.serve.access import Access, read_token
    from raytrain.retrieval.serve.limits import Limits
    from raytrain.retrieval.serve.open import open_service
    from raytrain.retrieval.serve.server import is_loopback, listening_socket, serve, url_of

    limits, token, token_path = Limits(), None, None
    if cluster or token_file is not None or not is_loopback(host):
        token, token_path = read_token(token_file)
    access = Access(token, frozenset(one.lower() for one in (host, socket.gethostname(), *(name or ()))))

    def announce_url(port: int) -> None:
        url, token_is = url_of(host, port), f"; its token is in {token_path}" if token_path else ""
        print(f"{url} answers until Ctrl-C{token_is}", flush=True)
        announce({"url": url, "token_file": str(token_path) if token_path else None, "run": folder})

    if cluster:
        from raytrain.cluster.serve import serve_on_ray

        serve_on_ray(
            folder, table, split, rerank=rerank, device=device, access=access, limits=limits, host=host, port=port,
            replicas=replicas, listens=lambda: announce_url(port),
        )  # fmt: skip
        return {}
    with listening_socket(host, port) as listener:
        service = open_service(folder, table, split, rerank=rerank, device=device, access=access, limits=limits)
        serve(service, listener, limits, lambda: announce_url(listener.getsockname()[1]))
    return {}
