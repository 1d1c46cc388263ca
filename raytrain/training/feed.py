"""What a run reads: the readers of its table's features, and the sizes its method takes from them."""

from __future__ import annotations

from dataclasses import dataclass

from raytrain.config import RunConfig, TransformerText
from raytrain.data.batches import Regions, TextReader, TokenIds, TokenStates
from raytrain.data.table import Table
from raytrain.data.words import Vocabulary
from raytrain.methods.base import Inputs


@dataclass(frozen=True)
class Feed:
    """Readers over one table; `vocabulary` is None unless captions are words."""

    regions: Regions
    texts: TextReader
    inputs: Inputs
    vocabulary: Vocabulary | None


def open_feed(config: RunConfig, table: Table, vocabulary: Vocabulary | None = None) -> Feed:
    """The readers a config asks for.

    Args:
        vocabulary: of the run being evaluated; None counts the words of the training split.
    """
    data, text = config.data, config.encoder.text
    regions = Regions(table, data.image_features, data.regions)
    features = regions.features.shape[-1]
    whole = table.feature(data.image_features, "image").encoder.get("global_index")
    if text.kind == "bigru":
        vocabulary = vocabulary or Vocabulary.from_table(table, data.min_word_count, data.train_split)
        words = TokenIds.from_words(table, vocabulary, data.max_words)
        return Feed(regions, words, Inputs(features, words=len(vocabulary), global_region=whole), vocabulary)
    if isinstance(text, TransformerText):
        ids = TokenIds.from_transformer(table, text.path, data.max_words)
        return Feed(regions, ids, Inputs(features, global_region=whole), None)
    assert data.text_features is not None
    states = TokenStates(table, data.text_features, data.max_words)
    inputs = Inputs(features, token_features=states.states.shape[1], global_region=whole)
    return Feed(regions, states, inputs, None)
