"""The registered model through MLflow's own pyfunc."""

from __future__ import annotations

import base64
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from raytrain.data.table import Table
from raytrain.errors import UsageError
from raytrain.retrieval import Retriever
from raytrain.retrieval.load import load
from raytrain.retrieval.portable.write import write_portable
from raytrain.retrieval.registry.log import Registered
from raytrain.retrieval.runs import open_run
from raytrain.retrieval.search import search_run
from tests.retrieval.registry.test_log import artifacts_of

pytest.importorskip("mlflow", reason="the registry is MLflow's")
pandas = pytest.importorskip("pandas", reason="MLflow's data frames")

from raytrain.retrieval.registry.pyfunc import SearchModel


@pytest.fixture(scope="module")
def model(logged: Registered, uri: str) -> Any:
    import mlflow

    patch = pytest.MonkeyPatch()
    patch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    yield mlflow.pyfunc.load_model(str(artifacts_of(uri, logged)))
    patch.undo()


def encoded(pictures: Table, row: int) -> str:
    path = Path(str(pictures.image_root)) / pictures.items["file"][row].as_py()
    return base64.b64encode(path.read_bytes()).decode()


def test_texts_and_images_are_answered_as_by_the_retriever(model: Any, retriever: Retriever, pictures: Table) -> None:
    image = encoded(pictures, 2)
    rows = pandas.DataFrame({"text": ["a dog", None], "image": [None, image]})
    answer = model.predict(rows, params={"k": 3})
    text_hits = retriever.search("a dog", 3)
    image_hits = retriever.search(image=base64.b64decode(image), k=3)
    for row, hits in enumerate((text_hits, image_hits)):
        assert answer["ids"][row] == [hit.id for hit in hits]
        assert answer["scores"][row] == pytest.approx([hit.score for hit in hits], abs=1e-6)
        assert answer["texts"][row] == [hit.text for hit in hits]
    assert len(model.predict(pandas.DataFrame({"text": ["a cat"]}))["ids"][0]) == 10


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": ["x" * 20_000]}, "at most 10,000"),
        ({"text": ["a"] * 65}, "65 rows"),
        ({"text": [None], "image": [None]}, "nothing to search by"),
        ({"image": ["/etc/passwd"]}, "not base64; paths are not read"),
        ({"image": [base64.b64encode(b"no image").decode()]}, "image of bytes"),
        ({"image": ["A" * (28 * 2**20)]}, "more than 20 MiB"),
        ({"text": ["in blue"], "image": [base64.b64encode(b"x").decode()]}, "composed retrieval"),
    ],
)
def test_a_query_beyond_a_bound_is_an_error_of_its_client(model: Any, row: dict[str, Any], message: str) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=message) as caught:
        model.predict(pandas.DataFrame(row))
    assert caught.value.get_http_status_code() == 400


@pytest.mark.parametrize("k", [0, 1001])
def test_the_number_of_results_is_bounded(model: Any, k: int) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=f"k is {k}; give a number from 1 to 1000"):
        model.predict(pandas.DataFrame({"text": ["a"]}), params={"k": k})


def test_the_address_in_the_registry_opens_as_a_retriever(
    logged: Registered, uri: str, retriever: Retriever, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for address in (f"models:/{logged.name}@candidate", logged.uri, f"models:/{logged.model_id}"):
        hits = load(address, device="cpu").search("a dog", 3)
        assert [hit.id for hit in hits] == [hit.id for hit in retriever.search("a dog", 3)]
    answer = search_run(f"models:/{logged.name}@candidate", "a dog", k=3, device="cpu")
    assert answer["run"] == f"models:/{logged.name}@candidate"
    assert [result["id"] for result in answer["results"]] == [hit.id for hit in retriever.search("a dog", 3)]
    with pytest.raises(UsageError, match="models:/NAME@champion"):
        load("models:/shop")


def test_an_image_with_a_text_that_changes_it_is_answered_in_composed_runs(
    composed_run: Path, composed_retriever: Retriever, triplets: Table, tmp_path: Path
) -> None:
    folder = write_portable(open_run(composed_run, torch.device("cpu")), tmp_path / "model", with_gallery=True)
    model = SearchModel()
    model.load_context(SimpleNamespace(artifacts={"model": str(folder)}))
    image = encoded(triplets, 3)
    answer = model.predict(None, pandas.DataFrame({"text": ["in red"], "image": [image]}), {"k": 4})
    hits = composed_retriever.search("in red", 4, image=base64.b64decode(image))
    assert answer["ids"][0] == [hit.id for hit in hits]
    assert answer["scores"][0] == pytest.approx([hit.score for hit in hits], abs=1e-6)
