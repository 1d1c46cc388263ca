"""Encoders, nn.Modules from features or words to embeddings, named as in the papers. Import each from its module."""
