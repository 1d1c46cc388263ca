"""The answers of each way to ask a trained model, as its users call it; benchmarks/routes.py compares them.

Processes run on one thread, on free ports of this machine's loopback, and are ended with all that they started.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import raytrain
from raytrain.retrieval import Retriever
from raytrain.retrieval.export.options import ExportOptions
from raytrain.retrieval.export.targets import export_run
from raytrain.retrieval.images import open_picture
from tests.ray_cluster import ROOT, free_port

K = 10
READY_S = 900.0
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "RAY_AUTH_MODE": "token"}
KINDS = ("text", "image", "image + text")


class Query(NamedTuple):
    """A text, an image file, or both."""

    text: str | None
    image: Path | None

    @property
    def kind(self) -> str:
        return KINDS[0] if self.image is None else KINDS[1] if self.text is None else KINDS[2]


class Answer(NamedTuple):
    """Ids and scores, best first."""

    ids: list[str]
    scores: list[float]


def by_retriever(retriever: Retriever, queries: Sequence[Query]) -> list[Answer]:
    answers = [retriever.search(query.text, K, image=query.image) for query in queries]
    return [Answer([hit.id for hit in hits], [hit.score for hit in hits]) for hits in answers]


def by_search(run: Path, queries: Sequence[Query], work: Path) -> list[Answer]:
    answers = []
    for query in queries:
        image = [] if query.image is None else ["--image", str(query.image)]
        text = [] if query.text is None else [query.text]
        command = [sys.executable, "-m", "raytrain.cli", "search", str(run), *image, "-k", str(K), "--device", "cpu"]
        command += ["--json", "--", *text]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
        if done.returncode:
            raise RuntimeError(f"raytrain search ended with exit code {done.returncode}: {done.stderr}")
        answers.append(_of_results(json.loads(done.stdout)["results"]))
    return answers


def by_pyfunc(run: Path, queries: Sequence[Query], work: Path) -> list[Answer]:
    import mlflow
    import pandas

    uri, address = _registered(run, work)
    mlflow.set_tracking_uri(uri)
    model = mlflow.pyfunc.load_model(address)
    rows = pandas.DataFrame(_records(queries), columns=["text", "image"])
    answer = model.predict(rows, params={"k": K})
    return [Answer(list(ids), list(scores)) for ids, scores in zip(answer["ids"], answer["scores"], strict=True)]


def by_mlflow_server(run: Path, queries: Sequence[Query], work: Path) -> list[Answer]:
    uri, address = _registered(run, work)
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", address, "--env-manager", "local"]
    more = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    with _process([*command, "--host", "127.0.0.1", "-p", str(port)], work / "mlflow.log", **more) as process:
        _wait_for(f"http://127.0.0.1:{port}/ping", process)
        rows = []
        for record in _records(queries):  # one by one: MLflow ends a call after a minute
            body = json.dumps({"dataframe_records": [record], "params": {"k": K}}).encode()
            answer = _ask(f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"})
            rows += answer["predictions"]
    return [Answer(row["ids"], row["scores"]) for row in rows]


def by_app(run: Path, queries: Sequence[Query], work: Path) -> list[Answer]:
    return _served(run, queries, work, ["--port", "0"])


def by_ray_serve(run: Path, queries: Sequence[Query], work: Path) -> list[Answer]:
    token = work / "token"  # made by the first of two runs
    return _served(run, queries, work, ["--cluster", "--port", str(free_port()), "--token-file", str(token)])


def by_hub(run: Path, queries: Sequence[Query], work: Path) -> list[Answer]:
    from raytrain.retrieval.pretrained import PretrainedRetriever

    place = Path(tempfile.mkdtemp(dir=work))
    export_run(run, ["hub"], place / "hub", options=ExportOptions(with_gallery=True))
    opened = PretrainedRetriever.from_pretrained(str(place / "hub"), device="cpu")
    opened.save_pretrained(str(place / "again"))
    return by_retriever(PretrainedRetriever.from_pretrained(str(place / "again"), device="cpu"), queries)


def by_onnx(run: Path, queries: Sequence[Query], work: Path) -> list[Answer]:
    """Frozen backbones are not in the graphs: what prepares raw texts and images is the Retriever's."""
    import onnxruntime

    folder = Path(tempfile.mkdtemp(dir=work)) / "onnx"
    graphs = export_run(run, ["onnx"], folder)["exports"]["onnx"]["graphs"]
    sessions = {name: onnxruntime.InferenceSession(folder / facts["file"]) for name, facts in graphs.items()}
    retriever = raytrain.load(run, device="cpu")
    rows = retriever.home
    assert rows is not None
    ids = [id_ for id_ in rows.table.items["id"].to_pylist() if id_ not in set(rows.missing)]
    places = np.flatnonzero(~np.isin(rows.table.items["id"].to_pylist(), list(rows.missing)))

    def run_graph(name: str, values: Mapping[str, Any]) -> np.ndarray:
        wanted = [each.name for each in sessions[name].get_inputs()]
        given = {key: np.asarray(values["regions" if key == "pixels" else key]) for key in wanted}
        return np.asarray(sessions[name].run(None, given)[0])

    parts = [places[start : start + rows.images_at_once] for start in range(0, len(places), rows.images_at_once)]
    gallery = np.concatenate([run_graph("images", rows.regions(part)) for part in parts])
    query_dimensions = len(sessions["similarity"].get_inputs()[0].shape)
    answers = []
    for query in queries:
        batch = {} if query.image is None else dict(retriever.images.read([open_picture(query.image)]))
        batch |= {"reference": batch.get("regions"), "reference_mask": batch.get("region_mask")}
        batch |= {} if query.text is None else retriever.texts.read([query.text])
        asking = run_graph("images" if query.text is None else "queries" if query.image else "texts", batch)
        if asking.ndim > query_dimensions:  # each view of an image asks like a caption (DVSE)
            asking = asking[0]
        scores = run_graph("similarity", {"query": asking, "gallery": gallery}).mean(0)
        best = np.argsort(-scores, kind="stable")[:K]
        answers.append(Answer([ids[place] for place in best], scores[best].tolist()))
    return answers


Route = Callable[[Path, Sequence[Query], Path], list[Answer]]
"""(folder of the run, queries, folder for files) -> an answer per query."""
ROUTES: dict[str, tuple[str, Route, float]] = {
    "search": ("`raytrain search --json`", by_search, 1e-5),
    "pyfunc": ("`mlflow.pyfunc.load_model`", by_pyfunc, 1e-5),
    "mlflow": ("`mlflow models serve`", by_mlflow_server, 1e-5),
    "app": ("`raytrain serve` (uvicorn)", by_app, 1e-5),
    "ray": ("`raytrain serve --cluster` (Ray Serve)", by_ray_serve, 1e-5),
    "hub": ("hub export, saved and opened again", by_hub, 1e-5),
    "onnx": ("ONNX graphs", by_onnx, 1e-4),
}
"""{name: (as the table calls it, route, largest difference of scores)}"""


def environment(**more: str) -> dict[str, str]:
    """Of processes: one thread, no GPU, this checkout, and no MLflow or Ray but their own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RAY_ADDRESS"))}
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return own | ENVIRONMENT | {"PYTHONPATH": path} | more


def _of_results(results: Sequence[Mapping[str, Any]]) -> Answer:
    return Answer([result["id"] for result in results], [result["score"] for result in results])


def _records(queries: Sequence[Query]) -> list[dict[str, str]]:
    """Rows of MLflow's models: images as base64; what a query has not is absent."""
    records = []
    for query in queries:
        image = {} if query.image is None else {"image": base64.b64encode(query.image.read_bytes()).decode()}
        records.append(image if query.text is None else {"text": query.text, **image})
    return records


def _registered(run: Path, work: Path) -> tuple[str, str]:
    """(address of a store of MLflow, address of the run's model in it, which is logged once)"""
    uri = f"sqlite:///{(work / 'mlflow.db').absolute()}"
    return uri, export_run(run, ["mlflow"], options=ExportOptions(tracking=uri))["paths"]["mlflow"]


def _served(run: Path, queries: Sequence[Query], work: Path, options: Sequence[str]) -> list[Answer]:
    """The answers of `raytrain serve`."""
    command = [sys.executable, "-m", "raytrain.cli", "serve", str(run), "--device", "cpu", "--json", *options]
    answers = []
    with _process(command, work / "serve.log") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError((work / "serve.log").read_text(errors="replace")[-2000:])
        service = json.loads(line)
        token = Path(service["token_file"]).read_text().strip() if service["token_file"] else ""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        for query in queries:
            if query.image is None:
                body, path = json.dumps({"text": query.text, "k": K}).encode(), "search"
                kind = "application/json"
            else:
                body, kind = query.image.read_bytes(), f"image/{query.image.suffix.lstrip('.').replace('jpg', 'jpeg')}"
                text = {} if query.text is None else {"text": query.text}
                path = f"search/image?{urllib.parse.urlencode({'k': K, **text})}"
            answers.append(_of_results(_ask(service["url"] + path, body, headers | {"Content-Type": kind})["results"]))
    return answers


@contextlib.contextmanager
def _process(command: Sequence[str], log: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A process and all that it starts, ended at the end of the block; what it says of errors is in `log`."""
    with open(log, "w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment(**more), start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the group is its own
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.5)
    raise RuntimeError(f"{url} does not answer")


def _ask(url: str, body: bytes, headers: Mapping[str, str]) -> Any:
    request = urllib.request.Request(url, body, dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{url}: {error.code} {error.read()[:500]!r}") from error
