"""Base class of the methods whose only loss is the triplet loss of their scores on pairs."""

from __future__ import annotations

from torch import Tensor

from raytrain import losses
from raytrain.config import SCANConfig, SGRAFConfig
from raytrain.losses.triplet import batch_negatives
from raytrain.methods.base import Batch, Method, StepContext


class TripletMethod(Method):
    """The training step that SCAN and SGRAF share; `config` names margin, warm-up and negatives."""

    config: SCANConfig | SGRAFConfig

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        """The training loss over the global batch: the sum over all negatives during warm-up, then the hardest."""
        context = context or StepContext()
        query = context.gather(self.encode_query(batch).float())
        gallery = context.gather(self.encode_gallery(batch).float())
        negatives = batch_negatives(context.gather(batch["image_id"]), self.config.same_image)
        hardest = context.epoch >= self.config.mean_warmup_epochs
        loss = losses.triplet_loss(self.similarity(query, gallery), negatives, self.config.margin, hardest)
        return {"loss": loss, "triplet": loss.detach()}
