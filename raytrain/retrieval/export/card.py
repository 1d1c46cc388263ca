"""The model card of an export: what was trained on what, what was measured and how sure, and whose data it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from raytrain.retrieval.portable.attribution import credits_of
from raytrain.retrieval.portable.description import Description
from raytrain.tracking.description import escaped
from raytrain.tracking.measurements import evaluation_metrics, headline, place_of

_SHOWN = re.compile(r"recall_at_\d+$|rsum$|map_at_r$|r_precision$")


def model_card(description: Description, licence: str | None) -> str:
    """README.md with `model-index`, in the hub's form.

    Args:
        description: of the exported model.
        licence: of the weights, as the hub names it; None leaves it open.
    """
    from huggingface_hub import EvalResult, ModelCardData

    facts = description.provenance
    results = [EvalResult(**result) for result in _results(description)]
    data = ModelCardData(
        library_name="raytrain",
        license=licence,
        model_name=facts["run"] if results else None,
        eval_results=results or None,
        tags=["image-text-retrieval", "cross-modal-retrieval", "model_hub_mixin", _method(description)],
    )
    return f"---\n{data.to_yaml()}\n---\n\n{_body(description, licence)}"


def _results(description: Description) -> list[dict[str, Any]]:
    """Fields of an EvalResult per metric. Protocol, split and data stand in the data set's name, where the hub shows
    them.
    """
    facts, results = description.provenance, []
    data = facts["data"]
    for event in facts["evaluations"]:
        place, split = place_of(event), str(event["split"])
        named = f"{data['table']}, {place}, fingerprint {data['fingerprint'][:12]}"
        for name, value in evaluation_metrics(event).items():
            metric = name.removeprefix(f"{place}/")
            if value is not None and metric != name and _SHOWN.search(metric) and "interval" not in metric:
                results.append(
                    {
                        "task_type": "image-text-retrieval", "task_name": description.task,
                        "dataset_type": data["table"], "dataset_name": named, "dataset_split": split,
                        "dataset_revision": data["fingerprint"], "metric_type": "recall" if "recall" in metric
                        else metric.rpartition("/")[2], "metric_name": metric, "metric_value": round(value, 4),
                    }
                )  # fmt: skip
    return results


def _body(description: Description, licence: str | None) -> str:
    facts = description.provenance
    data, selected = facts["data"], facts["selected"]
    value = "" if selected["value"] is None else f" ({escaped(selected['metric'])} {selected['value']:.2f})"
    commit = f", commit {escaped(str(facts['commit']))}" if facts["commit"] else ""
    if description.composed:
        task = "A query is an image with a text that changes it; the gallery is of images."
    else:
        task = "A query is a text or an image; the gallery is of images or of texts."
    trained = (
        f"{_method(description).upper()}, trained with raytrain {description.raytrain} on {escaped(data['table'])}. "
        f"{task}\n\nRun {escaped(facts['run'])}, seed {facts['seed']}{commit}; epoch {facts['epoch']} of "
        f"{facts['epochs']}, chosen on validation{value}."
    )
    parts = [
        f"# {escaped(facts['run'])}", trained,
        "## Use", _use(description),
        "## Data", _data(data),
        "## Measured", _measured(facts),
        "## Licence", _licence(licence, data),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _use(description: Description) -> str:
    query = '"in blue", image="shoe.jpg"' if description.composed else '"a red shoe"'
    return f"""```python
from raytrain.retrieval.pretrained import PretrainedRetriever

retriever = PretrainedRetriever.from_pretrained("USER/MODEL")  # or raytrain.load(FOLDER)
gallery = retriever.gallery_of_images(["a.jpg", "b.jpg"])
for hit in retriever.search({query}, k=5, gallery=gallery):
    print(hit.rank, hit.score, hit.id)
```

`pip install 'raytrain[encode,export]'`; no code of this folder is run. {_backbones(description)}`app.py` is a Gradio
Space over pictures in `images/`."""


def _backbones(description: Description) -> str:
    shown = []
    for feature in description.features.values():
        encoder = feature.encoder
        if encoder.get("weights_sha256"):
            where = "in this folder" if str(encoder["backbone"]).startswith("backbones/") else "loaded by its name"
            weights = f"weights sha256 {encoder['weights_sha256'][:12]}"
            shown.append(f"{escaped(str(encoder['backbone']))} ({feature.kind}s, frozen, {where}, {weights})")
        else:
            shown.append(
                f"{escaped(feature.name)} ({feature.kind} features that raytrain cannot make of a raw {feature.kind})"
            )
    return f"It reads features of {', '.join(shown)}. " if shown else ""


def _data(data: Mapping[str, Any]) -> str:
    splits = ", ".join(
        f"{escaped(name)} " + " ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        for name, counts in data["splits"].items()
    )
    missing = f" {data['missing']:,} annotated images are missing." if data["missing"] else ""
    return (
        f"{escaped(data['table'])} (source {escaped(data['source'])}): {splits}.{missing} Fingerprint of the table: "
        f"`{data['fingerprint']}`."
    )


def _measured(facts: Mapping[str, Any]) -> str:
    rows = [
        f"| {escaped(place_of(event))} | {escaped(headline(event) or '')} | {_recalls(event)} |"
        for event in facts["evaluations"]
    ]
    if not rows:
        return "Nothing but validation after each epoch, by which the epoch was chosen: no independent number."
    seeds = facts.get("seeds") or {}
    values = seeds.get("values") or []
    if len(values) > 1:
        spread = f", standard deviation {seeds['std']:.2f}" if seeds.get("std") is not None else ""
        over = f"Its settings were trained with {len(values)} seeds: mean {seeds['mean']:.2f} on validation{spread}."
    else:
        over = "One seed: the intervals are over queries, and do not cover what another seed would give."
    table = "\n".join(["| protocol | headline and interval | recall |", "|---|---|---|", *rows])
    return f"{table}\n\n{over}"


def _recalls(event: Mapping[str, Any]) -> str:
    place = place_of(event)
    recalls = {name.removeprefix(f"{place}/"): value for name, value in evaluation_metrics(event).items()}
    return ", ".join(
        f"{escaped(name.replace('recall_at_', 'R@'))} {value:.1f}"
        for name, value in recalls.items()
        if value is not None and re.fullmatch(r"(i2t/|t2i/)?recall_at_\d+", name)
    )


def _licence(licence: str | None, data: Mapping[str, Any]) -> str:
    own = (
        f"Weights: {escaped(licence)}."
        if licence
        else "No licence of the weights is stated; who publishes them states one."
    )
    credits = credits_of(data)
    if not credits:
        return f"{own} The source of the data names no attribution; see it for the terms of its images and texts."
    listed = "\n".join(f"- {escaped(text)}" for text in credits)
    return f"{own} The data it was trained on:\n\n{listed}"


def _method(description: Description) -> str:
    return str(description.run["method"]["kind"])
