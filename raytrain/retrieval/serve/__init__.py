"""The search page and its API: one ASGI app around a Retriever, for uvicorn and for Ray Serve."""

from raytrain.retrieval.serve.access import Access
from raytrain.retrieval.serve.app import create_app
from raytrain.retrieval.serve.limits import Limits

__all__ = ["Access", "Limits", "create_app"]
