"""Data sources, one module per file layout.

Each module has a `build(root, out, **options) -> Table`; sources that come from installed packages take no `root`. A
source that reads a folder also has a `looks_like(root) -> Layout | None`, with which `raytrain data detect` recognises
its files. A new source is one new module here: its name and options are read from it.
"""
