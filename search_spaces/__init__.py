"""Search spaces, define-by-run functions of RunConfig's field names: one per method, and some over methods.

Every module here is a space: the function of its own name (raytrain/sweeps/spaces.py). A wheel has this folder as the
package raytrain.search_spaces, so modules import each other relatively.
"""

from __future__ import annotations

from raytrain.sweeps.spaces import SPACES, Space

__all__ = ["SPACES", "Space"]
