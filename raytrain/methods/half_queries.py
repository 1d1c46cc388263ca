"""Half-query sum and product: composed retrieval without a trained composition (baselines of i-CIR, 2025).

The reference and the modification text each score the gallery by themselves, and the two cosines are added or
multiplied. Where text and images have no joint space, a ridge regression maps the text's feature to an image's: fitted
in closed form on the pairs of modification text and target of the training split, from sums that one epoch collects.
Its regulariser is a setting that a sweep chooses on validation. This reading of the map is ours.

Letters: B queries in the global batch, F features of an image, T of a text.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from raytrain.config import EncoderConfig, HalfQueriesConfig
from raytrain.errors import UsageError
from raytrain.methods.base import Batch, Inputs, Method, StepContext
from raytrain.similarity.precision import full_precision


class HalfQueries(Method):
    """The method: queries are a reference and a modification text, the gallery images; features stay as they are.

    Attributes:
        pairs: () number of training pairs whose sums are here.
        text_sum, target_sum: (T,), (F,) sums of the features.
        gram, cross: (T, T), (T, F) sums of the products text x text and text x target.
    """

    texts_once = True
    averaged = False  # the sums are of all batches alike
    pairs: Tensor
    text_sum: Tensor
    target_sum: Tensor
    gram: Tensor
    cross: Tensor

    def __init__(self, encoder: EncoderConfig, config: HalfQueriesConfig, inputs: Inputs) -> None:
        super().__init__()
        if inputs.token_features is None:
            raise UsageError("half_queries reads frozen token states; set encoder.text.kind=tokens")
        self.config = config
        text, image = inputs.token_features, inputs.region_features
        sums = {"pairs": (), "text_sum": (text,), "target_sum": (image,), "gram": (text, text), "cross": (text, image)}
        for name, shape in sums.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        # an optimizer and DDP need a parameter; this one is multiplied by 0
        self.anchor = nn.Parameter(torch.zeros(()))
        self._map: Tensor | None = None

    def train(self, mode: bool = True) -> HalfQueries:
        """Solves for the map anew where evaluation begins: the sums may have grown, or have been loaded."""
        self._map = None
        super().train(mode)
        return self

    def encode_query(self, batch: Batch) -> Tensor:
        """Reference (B, R, F) and text (B, n, T) -> (B, 2, F), the halves of the reference and of the text."""
        text = _mean(batch["text"], batch["text_mask"])
        if "text_row" in batch:
            text = text[batch["text_row"]]
        count = self.pairs.clamp(min=1)
        from_text = (text.double() - self.text_sum / count) @ self._text_to_image()
        if not self.config.centered:
            from_text = from_text + self.target_sum / count
        reference = self._centered(_mean(batch["reference"], batch["reference_mask"]))
        return normalize(torch.stack([reference, from_text], 1), dim=-1).float()

    def encode_gallery(self, batch: Batch) -> Tensor:
        """(B, R, F) regions -> (B, F), L2-normalised."""
        return normalize(self._centered(_mean(batch["regions"], batch["region_mask"])), dim=-1).float()

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, 2, F), (G, F) -> (Q, G).

        half_sum: s + w t of the cosines s of the reference and t of the text. half_product: s' t'^w, where x' is
        (x - floor) / (1 - floor), at least 0.
        """
        config = self.config
        with full_precision(query.device.type):
            image, text = (half @ gallery.T for half in query.unbind(1))
        if config.halves == "half_sum":
            return image + config.text_weight * text
        image, text = (((half - config.floor) / (1 - config.floor)).clamp(min=0) for half in (image, text))
        return image * text**config.text_weight

    def item_similarity(self, items: Tensor, others: Tensor) -> Tensor:
        """(N, F), (G, F) -> (N, G) cosines of images."""
        with full_precision(items.device.type):
            return items @ others.T

    def forward(self, batch: Batch, context: StepContext | None = None) -> dict[str, Tensor]:
        """Adds the global batch to the sums. The loss is 0: nothing is minimised."""
        context = context or StepContext()
        with torch.no_grad():
            text, target = (
                context.gather(_mean(batch[rows], batch[mask])).double()
                for rows, mask in (("text", "text_mask"), ("regions", "region_mask"))
            )
            for name, value in (
                ("pairs", torch.tensor(float(len(text)))), ("text_sum", text.sum(0)), ("target_sum", target.sum(0)),
                ("gram", text.T @ text), ("cross", text.T @ target),
            ):  # fmt: skip
                getattr(self, name).add_(value)
        return {"loss": 0 * self.anchor}

    def _text_to_image(self) -> Tensor:
        """(T, F) map of centred text features to centred image features; zeros before any pair was seen.

        W = (X^T X + ridge tr(X^T X) / T I)^-1 X^T Y, X and Y without their means.
        """
        if self._map is None:
            count = self.pairs.clamp(min=1)
            gram = self.gram - torch.outer(self.text_sum, self.text_sum) / count
            cross = self.cross - torch.outer(self.text_sum, self.target_sum) / count
            # the least positive number keeps a matrix of zeros solvable
            strength = (self.config.ridge * gram.diagonal().mean()).clamp(min=torch.finfo(torch.float64).tiny)
            self._map = torch.linalg.solve(gram + strength * torch.eye(len(gram)).to(gram), cross)
        return self._map

    def _centered(self, images: Tensor) -> Tensor:
        """(B, F) -> (B, F) float64, without the mean of the training targets where the config says so."""
        mean = self.target_sum / self.pairs.clamp(min=1) if self.config.centered else 0.0
        return images.double() - mean


def _mean(rows: Tensor, mask: Tensor) -> Tensor:
    """(B, n, F) and (B, n) bool -> (B, F) mean of the real rows, float32; zeros where there are none."""
    real = mask.unsqueeze(-1)
    return (rows.float() * real).sum(1) / real.sum(1).clamp(min=1)
