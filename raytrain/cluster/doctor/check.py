"""One finding of `raytrain doctor`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

PACKAGES = ("torch", "ray", "optuna", "mlflow", "transformers")


@dataclass(frozen=True)
class Check:
    """One finding.

    Args:
        name: what was checked.
        state: "ok"; "absent", which limits what can be done; "failed"; "refused", which must not be used as it is.
        found: what is there.
        fix: what to do about it; empty where nothing needs to be done.
    """

    name: str
    state: Literal["ok", "absent", "failed", "refused"]
    found: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)
