"""Using a trained model: embed raw texts and images, search a gallery, show what was retrieved."""

from raytrain.retrieval.gallery import Gallery
from raytrain.retrieval.hits import Hit
from raytrain.retrieval.query_images import Item
from raytrain.retrieval.retriever import Retriever

__all__ = ["Gallery", "Hit", "Item", "Retriever"]
