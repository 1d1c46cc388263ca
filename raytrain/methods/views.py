"""Base class of the methods that compare K views of an image with one vector of a caption."""

from __future__ import annotations

from torch import Tensor, nn

from raytrain import similarity
from raytrain.methods.base import Batch, Method


class ViewsMethod(Method):
    """Captions are queries, images the gallery; a subclass has the branches `image` and `text`, and a similarity."""

    monotone = True
    image: nn.Module
    text: nn.Module

    def encode_query(self, batch: Batch) -> Tensor:
        """(B, T[, F]) captions -> (B, D)."""
        return self.text(batch["text"], batch["text_mask"])  # type: ignore[no-any-return]

    def encode_gallery(self, batch: Batch) -> Tensor:
        """(B, R, F) regions -> (B, K, D)."""
        return self.image(batch["regions"], batch["region_mask"])  # type: ignore[no-any-return]

    def item_similarity(self, items: Tensor, others: Tensor) -> Tensor:
        """(N, K, D), (G, K, D) -> (N, G): each view of an item asks like a caption; the mean over its views."""
        by_view = self.similarity(items.flatten(0, 1), others)
        return by_view.view(*items.shape[:2], len(others)).mean(1)

    def matched_views(self, query: Tensor, gallery: Tensor) -> Tensor | None:
        """(Q, D) or (Q, K, D), (G, K, D) -> (Q, G, 2) closest views; None at K = 1."""
        if gallery.shape[1] == 1:
            return None
        return similarity.closest_elements(query if query.ndim == 3 else query[:, None], gallery)
