"""What a run reads: the readers of its table's features, and the sizes its method takes from them."""

from __future__ import annotations

from dataclasses import dataclass

from raytrain.config import RunConfig, TransformerImages, TransformerText
from raytrain.data.readers import ImageReader, Pixels, Regions, TextReader, TokenIds, TokenStates
from raytrain.data.table import Table
from raytrain.data.words import Vocabulary
from raytrain.encoders.images import VisionBackbone
from raytrain.methods.base import Inputs


@dataclass(frozen=True)
class Feed:
    """Readers over one table.

    Args:
        images, texts: readers.
        inputs: sizes for the method.
        vocabulary: None unless captions are words.
        backbone: what turns the images into regions where it trains with the method; None where features are read.
    """

    images: ImageReader
    texts: TextReader
    inputs: Inputs
    vocabulary: Vocabulary | None = None
    backbone: VisionBackbone | None = None


def open_feed(config: RunConfig, table: Table, vocabulary: Vocabulary | None = None) -> Feed:
    """The readers a config asks for.

    Args:
        vocabulary: of the run being evaluated; None counts the words of the training split.
    """
    data, text = config.data, config.encoder.text
    images, whole, backbone = _images(config, table)
    if text.kind == "bigru":
        vocabulary = vocabulary or Vocabulary.from_table(table, data.min_word_count, data.train_split)
        words = TokenIds.from_words(table, vocabulary, data.max_words)
        inputs = Inputs(images.width, words=len(vocabulary), global_region=whole)
        return Feed(images, words, inputs, vocabulary, backbone)
    if isinstance(text, TransformerText):
        ids = TokenIds.from_transformer(table, text.path, data.max_words)
        return Feed(images, ids, Inputs(images.width, global_region=whole), None, backbone)
    assert data.text_features is not None
    states = TokenStates(table, data.text_features, data.max_words)
    inputs = Inputs(images.width, token_features=states.states.shape[1], global_region=whole)
    return Feed(images, states, inputs, None, backbone)


def _images(config: RunConfig, table: Table) -> tuple[ImageReader, int | None, VisionBackbone | None]:
    """The reader, which of its regions is the whole image, and the backbone that trains."""
    data, image = config.data, config.encoder.image
    alone = data.regions == "global"
    backbone = load_backbone(config)
    if backbone is not None:
        assert isinstance(image, TransformerImages)
        regions = 1 if alone else backbone.regions
        pixels = Pixels(table, backbone.preprocess, regions, backbone.width, image.target_pad)
        return pixels, regions - 1, backbone
    whole = table.feature(data.image_features, "image").encoder.get("global_index")
    return Regions(table, data.image_features, data.regions), 0 if alone else whole, None


def load_backbone(config: RunConfig) -> VisionBackbone | None:
    """The image backbone that trains with the method, as it was pretrained; None where features are read."""
    image = config.encoder.image
    return VisionBackbone(image.path, image.frozen_batch_norm) if isinstance(image, TransformerImages) else None
