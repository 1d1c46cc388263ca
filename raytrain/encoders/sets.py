"""Image and caption branches that embed an item as a set of K elements (DivE, PVSE, PCME).

Letters: B batch, R regions, T tokens, F features, K elements, D dimensions. A branch computes local features and one
global feature; its `head` makes the set of them. Called with local features, their mask and the global feature, the
head returns elements and residuals, (B, K, D) each. PCME's head returns a mean and a log sigma in their place.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from raytrain.encoders.dropout import Dropout
from raytrain.encoders.heads import LINEAR, Head, xavier_linear
from raytrain.encoders.padding import map_real_rows
from raytrain.encoders.pooling import MaxPooling, MeanPooling
from raytrain.encoders.words import last_state


class RegionSets(nn.Module):
    """Region or grid features of an image -> K elements (DivE's encoder of BUTD regions, official code).

    h = Linear(x), local = h + MLP(h), MLP = Linear(D -> D/2), BatchNorm, ReLU, Linear(D/2 -> D); the global feature is
    the maximum over regions in each dimension. Batch norm sees the real regions only (see RegionViews).

    Args:
        features: F.
        dim: D, also the size of the local features.
        head: module that makes the set.
        dropout: rate; one mask for the local features, another for the global one.
        local: form of base and MLP, which reads h and not x; under a linear one the local features are h.
    """

    def __init__(
        self, features: int, dim: int, head: nn.Module, dropout: float = 0.1, local: Head | None = None
    ) -> None:
        super().__init__()
        local = local or Head()
        self.input_dropout = local.input_dropout()
        self.base = nn.Linear(features, dim)
        self.mlp = local.residual(dim, dim) if local.kind == "mlp" else None
        self.pool = MaxPooling()
        self.dropout = Dropout(dropout)
        self.sets = head

    def forward(self, regions: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, R, F) features, (B, R) bool mask -> (B, K, D) elements, L2-normalised, and (B, K, D) residuals."""
        local = self._local(regions, mask)
        return self.sets(self.dropout(local), mask, self.pool(self.dropout(local), mask))  # type: ignore[no-any-return]

    def attention(self, regions: Tensor, mask: Tensor) -> Tensor:
        """(B, R, F) features, (B, R) bool mask -> (B, K, R) attention of each element to the regions."""
        return self.sets.attention(self._local(regions, mask), mask)  # type: ignore[no-any-return, operator]

    def _local(self, regions: Tensor, mask: Tensor) -> Tensor:
        """(B, R, F) features -> (B, R, D) local features."""

        def local_of(real: Tensor) -> Tensor:
            base: Tensor = self.base(self.input_dropout(real))
            return base if self.mlp is None else base + self.mlp(base)

        return map_real_rows(local_of, regions, mask)


class GridSets(nn.Module):
    """Grid or region features of an image -> K elements; the features are the local features as they are (PVSE, PCME).

    The global feature is a linear layer over their mean, like the average pooling and last layer of a CNN.

    Args:
        features: F, also the size of the local features.
        dim: D.
        head: module that makes the set.
        dropout: of the global feature.
        whole: form of the layers from the mean to the global feature; its dropout also acts on the local features.
    """

    def __init__(self, features: int, dim: int, head: nn.Module, dropout: float = 0.0, whole: Head = LINEAR) -> None:
        super().__init__()
        self.input_dropout = whole.input_dropout()
        self.pool = MeanPooling()
        self.linear = xavier_linear(features, dim)
        self.mlp = whole.residual(features, dim) if whole.kind == "mlp" else None
        self.dropout = Dropout(dropout)
        self.sets = head

    def forward(self, regions: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, R, F) features, (B, R) bool mask -> the two (B, K, D) outputs of the head."""
        regions = self.input_dropout(regions)
        pooled = self.pool(regions, mask)
        whole = self.linear(pooled)
        if self.mlp is not None:
            whole = whole + self.mlp(pooled)
        return self.sets(regions, mask, self.dropout(whole))  # type: ignore[no-any-return]


class WordSets(nn.Module):
    """Words of a caption -> K elements; word embeddings are the local features, a BiGRU's last states the global one.

    DivE's BiGRU encoder (official code): only the GRU's two last states are used, and averaged.

    Args:
        words: size of the vocabulary.
        word_dim: size of a word's embedding, F of the head.
        dim: D.
        head: module that makes the set.
        dropout: of the embeddings and of the global feature.
    """

    def __init__(self, words: int, word_dim: int, dim: int, head: nn.Module, dropout: float = 0.1) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, word_dim)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.gru = nn.GRU(word_dim, dim, batch_first=True, bidirectional=True)
        self.dropout = Dropout(dropout)
        self.sets = head

    def forward(self, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) word ids and (B, T) bool mask, real words first -> (B, K, D) elements and residuals."""
        local = self.dropout(self.embedding(words))
        whole = last_state(self.gru, local, mask)
        return self.sets(local, mask, self.dropout(whole))  # type: ignore[no-any-return]


class TokenSets(nn.Module):
    """Token states of a transformer -> K elements; Linear(states) are the local features (DivE, BERT text).

    Args:
        features: F, width of a token state.
        dim: D, also the size of the local features.
        head: module that makes the set.
        whole: the global feature: "max" over the tokens, or "cls", the first token.
        whole_linear: a second linear layer for the global feature.
        transformer: trained with the rest; None where batches hold the states of a frozen one.
        local: form of the layers between states and local features.
    """

    def __init__(
        self,
        features: int,
        dim: int,
        head: nn.Module,
        whole: Literal["max", "cls"] = "max",
        whole_linear: bool = False,
        transformer: nn.Module | None = None,
        local: Head = LINEAR,
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.input_dropout = local.input_dropout()
        self.linear = nn.Linear(features, dim)
        self.mlp = local.residual(features, dim) if local.kind == "mlp" else None
        self.whole = whole
        self.whole_linear = nn.Linear(dim, dim) if whole_linear else nn.Identity()
        self.pool = MaxPooling()
        self.sets = head

    def forward(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, F) states, or (B, T) ids where the transformer trains; (B, T) bool mask -> (B, K, D) twice."""
        if self.transformer is not None:
            tokens = self.transformer(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        tokens = self.input_dropout(tokens)
        local = self.linear(tokens)
        if self.mlp is not None:
            local = local + map_real_rows(self.mlp, tokens, mask)
        pooled = local[:, 0] if self.whole == "cls" else self.pool(local, mask)
        return self.sets(local, mask, self.whole_linear(pooled))  # type: ignore[no-any-return]
