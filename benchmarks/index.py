"""Searching 100,000 images exactly, and by FAISS candidates with a certificate, against batched numpy.

    python -m benchmarks.index runs/flickr8k/DVSE runs/flickr8k/DIVE
    python -m benchmarks.index runs/flickr8k/DVSE --items 20000 --kinds sq8,hnsw --noise 0.1

The images of each run's table are embedded by its model and repeated with noise until there are enough: every vector
plus a random one of `--noise` times its length, at unit length again. Queries are captions of validation and test. The
embeddings lie on disk and are memory-mapped, as those of an index are.

"numpy" is one matrix product per block of queries with all vectors, in memory, pooled in numpy as the method does, and
argpartition. Every route answers all queries in one call (queries/s) and then one by one (p95). Times are CPU seconds
of the process, which other work on the machine moves little, and ratios are to numpy in the same run. "proved" is the
share of queries whose ten results are proved exact, "recall" that of the others. Memory is what a route adds while it
answers: of its own (anonymous), and of mapped files that the system may drop.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from benchmarks.small_forms import add_options, run_small, times_as_fast
from raytrain.config import override
from raytrain.files import size
from raytrain.methods.base import Method
from raytrain.recipes.load import load_recipe
from raytrain.retrieval import Gallery, Retriever
from raytrain.retrieval.index.candidates import Accuracy, build, open_candidates
from raytrain.retrieval.index.certificate import Certainty
from raytrain.retrieval.index.manifest import CandidatesEntry
from raytrain.retrieval.index.store import file_entry
from raytrain.retrieval.load import load
from raytrain.retrieval.ranked_hits import ranked_hits
from raytrain.training.build import over_backbone
from raytrain.training.input_sizes import Sizes, inputs

K = 10
Answers = list[list[int]]  # positions of the K best, best first, per query
Route = Callable[[Tensor], Answers]


class Memory:
    """Most memory above that at the start, in bytes; read every 5 ms while a body runs."""

    anonymous = file = 0

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        start, ended = self._now(), threading.Event()

        def watch() -> None:
            while not ended.wait(0.005):
                now = self._now()
                self.anonymous, self.file = max(self.anonymous, now[0] - start[0]), max(self.file, now[1] - start[1])

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def __str__(self) -> str:
        return f"+ {size(self.anonymous)} own, {size(self.file)} of files"

    def _now(self) -> tuple[int, int]:
        lines = Path("/proc/self/status").read_text().splitlines()
        values = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss")}
        return values["RssAnon"], values["RssFile"]


def tile(embeddings: Tensor, count: int, noise: float, path: Path) -> None:
    """Write (count, J, D): the embeddings again and again with noise."""
    out = np.lib.format.open_memmap(path, "w+", np.float32, (count, *embeddings.shape[1:]))
    draw = torch.Generator().manual_seed(0)
    for start in range(0, count, len(embeddings)):
        part = embeddings[: count - start]
        added = normalize(torch.randn(part.shape, generator=draw), dim=-1)
        out[start : start + len(part)] = part if start == 0 else normalize(part + noise * added, dim=-1)
    out.flush()


def mapped(path: Path) -> Tensor:
    """The embeddings of a file, memory-mapped anew."""
    return torch.from_numpy(np.load(path, mmap_mode="c"))


def plain_numpy(method: Method, path: Path) -> Route:
    """The method's score in numpy, over blocks of 8 queries: DVSE's maximum, or DivE's smooth-Chamfer."""
    entries = np.load(path)
    count, views, dim = entries.shape
    columns = np.ascontiguousarray(entries.transpose(1, 0, 2).reshape(-1, dim).T)  # (D, J N)
    alpha = getattr(method.config, "alpha", None)

    def log_sum(scaled: np.ndarray, axis: int) -> np.ndarray:
        largest = scaled.max(axis, keepdims=True)
        total: np.ndarray = np.log(np.exp(scaled - largest).sum(axis)) + largest.squeeze(axis)
        return total

    def answer(queries: Tensor) -> Answers:
        answers: Answers = []
        for part in torch.split(queries, 8):
            asking = part.reshape(len(part), -1, dim).numpy()
            products = (asking.reshape(-1, dim) @ columns).reshape(len(part), -1, views, count)
            if alpha is None:
                scores = products.max((1, 2))
            else:
                products *= alpha
                scores = (log_sum(products, 2).mean(1) + log_sum(products, 1).mean(1)) / (2 * alpha)
            best = np.argpartition(-scores, K, 1)[:, :K]
            order = np.argsort(-np.take_along_axis(scores, best, 1), 1)
            answers += np.take_along_axis(best, order, 1).tolist()
        return answers

    return answer


def timed(open_route: Callable[[], Route], queries: Tensor) -> tuple[Answers, float, float, Memory]:
    """(answers, queries per CPU second of one call, p95 in CPU seconds of single queries, memory from opening on)."""
    memory = Memory()
    with memory.watched():
        route = open_route()
        route(queries[:2])
        started = time.process_time()
        answers = route(queries)
        per_second = len(queries) / (time.process_time() - started)
        single = []
        for number in range(len(queries)):
            started = time.process_time()
            route(queries[number : number + 1])
            single.append(time.process_time() - started)
    return answers, per_second, float(np.percentile(single, 95)), memory


def captions(retriever: Retriever, count: int) -> Tensor:
    """(count, ...) embeddings of captions of validation and test."""
    parts = [retriever.gallery(of="texts", split=split).embeddings for split in ("val", "test")]
    rows = torch.cat(parts)
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:count]]


def compare(run: str, items: int, count: int, noise: float, kinds: list[str], folder: Path) -> None:
    retriever = load(run, "cpu")
    own, queries = retriever.gallery(), captions(retriever, count)
    place = folder / "embeddings.npy"
    tile(own.embeddings, items, noise, place)
    shape, name = tuple(mapped(place).shape), type(retriever.model).__name__
    print(f"{name}: {len(own):,} images repeated to {shape}, noise {noise:g}, {len(queries)} captions, top {K}")
    base_answers, base_rate, base_p95, memory = timed(lambda: plain_numpy(retriever.model, place), queries)
    print(
        f"  numpy: {1 / base_rate * 1000:.0f} ms of CPU per query, p95 {base_p95 * 1000:.0f} ms (1.00, 1.00); {memory}",
        flush=True,
    )
    for kind in ("exact", *kinds):
        entry, built = (None, "") if kind == "exact" else made(mapped(place), kind, folder)
        certainties: list[Certainty] = []

        def opened(entry: CandidatesEntry | None = entry, certainties: list[Certainty] = certainties) -> Route:
            candidates = None if entry is None else open_candidates(folder / entry.file.name, entry, shape[1])
            names = [""] * items
            gallery = Gallery("images", mapped(place), names, names, names, names, candidates=candidates)

            def route(asking: Tensor) -> Answers:
                hits = ranked_hits(retriever.model, asking, gallery, K, {}, None, retriever.memory_mib)
                if len(asking) == len(queries):
                    certainties[:] = [answer.certainty for answer in hits]
                return [[hit.position for hit in answer] for answer in hits]

            return route

        answers, rate, p95, memory = timed(opened, queries)
        sure = [certainty.kind != "approximate" for certainty in certainties]
        recalls = [len({*a} & {*b}) / K for a, b in zip(answers, base_answers, strict=True)]
        rest = [recall for recall, certain in zip(recalls, sure, strict=True) if not certain]
        wrong = sum(recall < 1 for recall, certain in zip(recalls, sure, strict=True) if certain)
        says = "exact" if kind == "exact" else f"proved {np.mean(sure):.0%}"
        says += f", recall of the rest {np.mean(rest):.3f}" if rest else ""
        says += f" ({wrong} that are sure differ from numpy's)" if wrong else ""
        compared = np.mean([certainty.compared for certainty in certainties])
        print(f"  {kind}: {says}; {compared:,.0f} compared; {rate / base_rate:.2f} of the queries/s of numpy, "
              f"{p95 / base_p95:.2f} of its p95; {memory}{built}", flush=True)  # fmt: skip


def made(embeddings: Tensor, kind: str, folder: Path) -> tuple[CandidatesEntry, str]:
    """Candidates in a file of the folder, and what making them took."""
    started, path = time.process_time(), folder / f"candidates-0-{kind}.faiss"
    accuracy = build(embeddings, kind, path) or Accuracy(0.0, 0.0)  # type: ignore[arg-type]
    seconds = time.process_time() - started
    entry = CandidatesEntry.model_validate(
        {"kind": kind, "error": accuracy.error, "longest": accuracy.longest, "file": file_entry(path), "measured": None}
    )
    return entry, f"; {size(entry.file.bytes)} made in {seconds:.0f} s, error {entry.error:.4f}"


def small() -> dict[str, float]:
    """Exact search by a DVSE model over made-up embeddings, against numpy."""
    config = override(load_recipe("dvse_flickr30k"), {"encoder.dim": 128, "method.views": 4})
    model = over_backbone(config, inputs(config, Sizes()), None).eval()
    draw = torch.Generator().manual_seed(0)
    queries, count = normalize(torch.randn(32, 128, generator=draw), dim=-1), 10_000
    with tempfile.TemporaryDirectory() as folder:
        place, names = Path(folder) / "embeddings.npy", [""] * count
        tile(normalize(torch.randn(1000, 4, 128, generator=draw), dim=-1), count, 0.3, place)
        numpy, gallery = plain_numpy(model, place), Gallery("images", mapped(place), names, names, names, names)

        def ours() -> None:
            ranked_hits(model, queries, gallery, K, {}, None, 256)

        return {"index, exact search": times_as_fast(lambda: numpy(queries), ours)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", help="finished runs of DVSE (score max) or DivE (smooth-Chamfer)")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--noise", type=float, default=0.3, help="length beside that of a vector, which is 1")
    parser.add_argument("--kinds", default="flat,fp16,sq8,hnsw")
    add_options(parser)
    given = parser.parse_args()
    if given.small:
        return run_small(small, given.json)
    if not given.runs:
        parser.error("name a run")
    for run in given.runs:
        with tempfile.TemporaryDirectory() as place:
            compare(run, given.items, given.queries, given.noise, given.kinds.split(","), Path(place))


if __name__ == "__main__":
    main()
