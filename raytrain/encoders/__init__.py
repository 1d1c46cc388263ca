"""nn.Modules from features or words to embeddings, named as in the papers. Import the module that holds one."""
