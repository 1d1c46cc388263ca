"""The job of an index, in this process and as another one gets it."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import torch

from raytrain.data.encode.jobs import Work
from raytrain.data.table import Table
from raytrain.retrieval import Retriever
from raytrain.retrieval.indexing.embed_job import EmbedJob
from raytrain.retrieval.scores import Kind


def test_a_worker_opens_its_own_model_and_embeds_the_same(retriever: Retriever, run: Path, pictures: Table) -> None:
    sides: tuple[Kind, ...] = ("images", "texts")
    for of in sides:
        job = EmbedJob(str(run), str(pictures.path), None, of, "cpu", retriever)
        sent = pickle.loads(pickle.dumps(job))
        assert sent.retriever is None
        work = Work(np.array([3, 1]), ["", ""])
        features = []
        for worker in (job, sent):
            worker.open()
            done = worker.encode(work, worker.prepare(work))
            features.append(torch.from_numpy(done.features))
            assert done.rows.tolist() == [3, 1]
        torch.testing.assert_close(features[0], features[1])
        torch.testing.assert_close(features[0], retriever.gallery(of=of).embeddings[[3, 1]], atol=1e-6, rtol=0)
