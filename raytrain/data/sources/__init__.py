"""One file per public layout; each offers `build(root, out, **options) -> Table`.

Each that reads a folder also offers `looks_like(root) -> Layout | None`, by which `raytrain data detect` knows it. A
new source is one new module here: its name, options and marks are found in it.
"""
