"""Log densities of directions on the unit sphere of D dimensions, by their cosine with the mean direction."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LEAST = 1e-6
"""Least value of 1 + cosine: the opposite of the mean direction has no density under the power spherical law."""


def power_spherical(cosine: Tensor, concentration: Tensor, dim: int) -> Tensor:
    """Log density of the power spherical distribution (De Cao and Aziz, 2020, equation 6).

    kappa log(1 + cosine) minus the log of 2^(a + b) pi^b Gamma(a) / Gamma(a + b), b = (D - 1) / 2 and a = b + kappa.

    Args:
        cosine: (...), with the mean direction.
        concentration: (...) kappa > 0, broadcast against `cosine`.
        dim: D.
    """
    half = (dim - 1) / 2
    kappa = concentration.double()  # log Gamma of hundreds leaves float32 few digits
    normaliser = (kappa + 2 * half) * math.log(2) + half * math.log(math.pi)
    normaliser = normaliser + torch.lgamma(kappa + half) - torch.lgamma(kappa + 2 * half)
    return concentration * (1 + cosine).clamp(min=LEAST).log() - normaliser.to(cosine.dtype)


def von_mises_fisher(cosine: Tensor, concentration: Tensor, dim: int) -> Tensor:
    """Log density of the von Mises-Fisher distribution: kappa cosine + v log kappa - D/2 log 2 pi - log I_v(kappa).

    v = D / 2 - 1. The Bessel function is its uniform expansion for large orders with two corrections (DLMF 10.41.3),
    whose relative error is 3e-4 at D = 8, and falls with D^3.

    Args:
        cosine, concentration, dim: as of `power_spherical`; D is at least 8.

    Raises:
        ValueError: D is below 8.
    """
    if dim < 8:
        raise ValueError(f"von_mises_fisher is for 8 dimensions and more; given: {dim}")
    order, kappa = dim / 2 - 1, concentration.double()
    ratio = kappa / order
    root = (1 + ratio.square()).sqrt()
    t = 1 / root
    first = (3 * t - 5 * t**3) / 24
    second = (81 * t**2 - 462 * t**4 + 385 * t**6) / 1152
    log_bessel = order * (root + (ratio / (1 + root)).log()) - 0.5 * math.log(2 * math.pi * order)
    log_bessel = log_bessel - 0.5 * root.log() + torch.log1p(first / order + second / order**2)
    constant = order * kappa.log() - dim / 2 * math.log(2 * math.pi) - log_bessel
    return concentration * cosine + constant.to(cosine.dtype)
