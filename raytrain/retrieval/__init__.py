"""Using a trained model: embed raw texts and images, search a gallery, show what was retrieved."""

from raytrain.retrieval.gallery import Gallery
from raytrain.retrieval.retriever import Hit, Item, Retriever

__all__ = ["Gallery", "Hit", "Item", "Retriever"]
