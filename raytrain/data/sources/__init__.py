"""One file per public layout; each offers `build(root, out, **options) -> Table`."""
