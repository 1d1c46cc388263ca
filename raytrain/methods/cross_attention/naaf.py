"""NAAF, negative-aware attention: words that match no region count against a pair (Zhang et al., CVPR 2022)."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from raytrain import similarity
from raytrain.config import EncoderConfig, NAAFConfig
from raytrain.methods.base import Batch, Inputs, StepContext
from raytrain.methods.cross_attention.base import CrossAttention
from raytrain.similarity import real_rows
from raytrain.similarity.precision import full_precision

SAFE_DEVIATIONS = 3
"""The safe threshold is so many standard deviations below the mean of matched words (released code)."""


def boundary(matched: Tensor, mismatched: Tensor, penalty: float) -> Tensor:
    """() the score t where f_matched(t) = penalty f_mismatched(t), two Gaussians; NaN where there is no such score.

    There the cost of matched words below t plus `penalty` times that of mismatched words above t is least (NAAF,
    equations 3 to 5; the released code weighs the mismatched words, the paper the matched ones). With variances p and n
    it solves b1 t^2 + b2 t + b3 = 0, b1 = p - n, b2 = 2 (mean_p n - mean_n p), b3 = mean_n^2 p - mean_p^2 n +
    p n log(n / (penalty^2 p)); of the two roots the one where the cost is least and not largest.

    Args:
        matched, mismatched: (2) mean and standard deviation.
        penalty: alpha.
    """
    mean_p, mean_n = matched[0], mismatched[0]
    p, n = matched[1].square(), mismatched[1].square()
    b1, b2 = p - n, 2 * (mean_p * n - mean_n * p)
    b3 = mean_n.square() * p - mean_p.square() * n + p * n * torch.log(n / (penalty**2 * p))
    discriminant = b2.square() - 4 * b1 * b3
    root = discriminant.sqrt()
    # the same root in the form that does not cancel; b1 is zero where both deviations are equal
    score = torch.where(b2 > 0, -2 * b3 / (b2 + root), (root - b2) / (2 * b1))
    return torch.where(discriminant > 0, score, torch.nan)  # NaN also where a deviation is zero


class Threshold(nn.Module):
    """NAAF's threshold, estimated while training: running sums of sampled words, and the thresholds they led to.

    All of it is in buffers, which a checkpoint saves. Every rank is given the scores and sums of all pairs, so every
    rank samples the same words, and the buffers are equal.

    Attributes:
        sampled: (3, 2) of matched and mismatched words since the last estimate: number, sum, sum of squares.
        fit: (2, 2) mean and standard deviation of matched and of mismatched words at the last estimate.
        learned: () the threshold of training; 0 before the first estimate.
        safe: () that of search, see SAFE_DEVIATIONS.

    Args:
        penalty: alpha of `boundary`.
        words: an estimate takes more matched words than these.
        momentum: share of a threshold that was before.
    """

    def __init__(self, penalty: float, words: int, momentum: float) -> None:
        super().__init__()
        self.penalty, self.words, self.momentum = penalty, words, momentum
        self.sampled: Tensor
        self.fit: Tensor
        self.learned: Tensor
        self.safe: Tensor
        self.register_buffer("sampled", torch.zeros(3, 2))
        self.register_buffer("fit", torch.zeros(2, 2))
        self.register_buffer("learned", torch.zeros(()))
        self.register_buffer("safe", torch.zeros(()))

    @torch.no_grad()
    def sample(self, scores: Tensor, words: Tensor, sums: Tensor, squares: Tensor) -> None:
        """Sample each caption whose own image scores best: its words with that image, and with the worst one.

        Args:
            scores: (B, B) captions x images, pairs on the diagonal.
            words: (B) number of words of each caption.
            sums, squares: (B, B) sum over a caption's words of the best cosine with a region, and of its square.
        """
        places = torch.arange(len(scores), device=scores.device)
        right = scores.diagonal() >= scores.amax(1)  # another caption's image may be the same one
        columns = torch.stack([places, scores.argmin(1)])
        by_caption = torch.stack([words.to(sums.dtype).expand(2, -1), sums[places, columns], squares[places, columns]])
        self.sampled += (by_caption * right).sum(2).to(self.sampled.dtype)
        self._estimate(self.sampled[0, 0] > self.words)

    def _estimate(self, due: Tensor) -> None:
        """New thresholds from the sampled words, which then begin anew; nothing where it is not due, a () bool."""
        number, total, squares = self.sampled.double()
        mean = total / number
        deviation = ((squares - number * mean.square()).clamp(min=0) / (number - 1)).sqrt()
        matched, mismatched = torch.stack([mean, deviation], 1)
        self.fit.copy_(torch.where(due, torch.stack([matched, mismatched]), self.fit))
        learned = boundary(matched, mismatched, self.penalty)
        safe = matched[0] - SAFE_DEVIATIONS * matched[1]
        for buffer, value in ((self.learned, learned), (self.safe, safe)):
            # a cosine above 1 is no threshold; the released code takes 0 there too
            value = torch.where((value > 0) & (value <= 1), value, 0.0)
            moved = self.momentum * buffer + (1 - self.momentum) * value
            buffer.copy_(torch.where(due & ~learned.isnan(), moved, buffer))
        self.sampled.masked_fill_(due, 0.0)


class NAAF(CrossAttention):
    """The method: words are compared with regions."""

    config: NAAFConfig

    def __init__(self, encoder: EncoderConfig, config: NAAFConfig, inputs: Inputs) -> None:
        super().__init__(encoder, config, inputs)
        self.threshold = Threshold(config.mismatch_penalty, config.sample_words, config.threshold_momentum)

    def pair_cost(self, query: Tensor, gallery: Tensor) -> int:
        """Fourteen numbers per word and region: two attentions, their parts, and what the backward pass keeps."""
        return query.shape[1] * (14 * gallery.shape[1] + query.shape[1])

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, T, D), (G, R, D) -> (Q, G).

        In training the pairs are on the diagonal, and their words are sampled for the threshold of the next steps.
        """
        learned = self.training or self.config.test_threshold == "learned"
        # a copy: the backward pass computes blocks again when `sample` has changed the buffer already
        threshold = (self.threshold.learned if learned else self.threshold.safe).clone()
        scores, sums, squares = self.in_blocks(partial(self._compare, threshold), query, gallery)
        if self.training:
            self.threshold.sample(scores.detach(), real_rows(query).sum(1), sums, squares)
        return scores

    def pair_losses(self, query: Tensor, gallery: Tensor, batch: Batch, context: StepContext) -> dict[str, Tensor]:
        """The loss, and the two thresholds that this step leaves."""
        losses = super().pair_losses(query, gallery, batch, context)
        return {**losses, "threshold": self.threshold.learned.clone(), "safe_threshold": self.threshold.safe.clone()}

    def _compare(self, threshold: Tensor, query: Tensor, gallery: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(Q, G) scores, and the sums over words and of squares that `Threshold.sample` takes.

        The mean over words of three numbers (equations 6 to 13): the best cosine minus the threshold, where that is
        below zero; the cosine with the mean of the regions above the threshold, weighted by a softmax; and the mean of
        the cosines under SCAN's attention.
        """
        config = self.config
        with full_precision(query.device.type):
            query, gallery = similarity.widened(query, gallery)
            words, regions = real_rows(query), real_rows(gallery)
            weights, cosines = similarity.attention(query, gallery, config.attention_scale)  # (G, R, Q, T)
            best = cosines.masked_fill(~regions[:, :, None, None], -torch.inf).amax(1)  # (G, Q, T)
            threshold = threshold.to(best.dtype)

            gap = best - threshold
            doubt = gap
            if not self.training and config.propagation_scale:
                doubt = (among_words(query, words, config.propagation_scale) @ gap[..., None])[..., 0]
            negative = gap * (doubt < 0)

            above = (cosines > threshold) & regions[:, :, None, None]
            logits = (config.attention_scale * cosines).masked_fill(~above, torch.finfo(cosines.dtype).min)
            focused = logits.softmax(1) * above  # all zero where no region is above
            attended = similarity.attended_cosine(focused, cosines, gallery)
            relevance = (weights * cosines).sum(1)

            scores = similarity.mean_over(negative + attended + relevance, words)
            seen = best.detach().masked_fill(~words, 0.0)
        return scores.T, seen.sum(-1).T, seen.square().sum(-1).T


def among_words(query: Tensor, words: Tensor, scale: float) -> Tensor:
    """(Q, T, T) attention of each word to the words of its caption: softmax of scale times their cosines.

    Args:
        query: (Q, T, D), L2-normalised.
        words: (Q, T) bool, True at real words.
        scale: lambda of the softmax.
    """
    logits = (scale * (query @ query.mT)).masked_fill(~words[:, None], torch.finfo(query.dtype).min)
    return logits.softmax(-1)
