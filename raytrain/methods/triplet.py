"""Base class of the methods whose only loss is the triplet loss of their scores on pairs."""

from __future__ import annotations

from torch import Tensor

from raytrain import losses
from raytrain.config.methods.triplet import TripletPart
from raytrain.losses.triplet import batch_negatives
from raytrain.methods.base import Batch, Method, StepContext


class TripletMethod(Method):
    """The training step of these methods."""

    config: TripletPart

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        """The training loss over the global batch: the sum over all negatives during warm-up, then the hardest."""
        query, gallery = self.encode_query(batch), self.encode_gallery(batch)
        return self.pair_losses(query, gallery, batch, context or StepContext())

    def gathered(self, query: Tensor, batch: Batch, context: StepContext) -> Tensor:
        """The embedded captions of all ranks."""
        return context.gather(query.float())

    def training_scores(self, query: Tensor, gallery: Tensor) -> Tensor:
        """Gathered embeddings of all ranks -> (Q, G) scores that the loss compares."""
        return self.similarity(query, gallery)

    def pair_losses(self, query: Tensor, gallery: Tensor, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        """The loss of this rank's embedded pairs, with those of the other ranks."""
        query, gallery = self.gathered(query, batch, context), context.gather(gallery.float())
        negatives = batch_negatives(context.gather(batch["image_id"]), self.config.same_image)
        hardest = context.epoch >= self.config.mean_warmup_epochs
        loss = losses.triplet_loss(self.training_scores(query, gallery), negatives, self.config.margin, hardest)
        return {"loss": loss, "triplet": loss.detach()}
