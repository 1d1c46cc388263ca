"""Densities on the sphere, against quadrature and scipy's Bessel function."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from raytrain.losses import power_spherical, von_mises_fisher

special = pytest.importorskip("scipy.special", reason="the oracle is scipy's Bessel function")
DENSITIES = [power_spherical, von_mises_fisher]


@pytest.mark.parametrize("density", DENSITIES)
@pytest.mark.parametrize(("dim", "kappa"), [(8, 3.0), (64, 20.0), (64, 500.0)])
def test_a_density_integrates_to_one_over_the_sphere(density: object, dim: int, kappa: float) -> None:
    """Over the sphere, integral f(cos) = area of the sphere of one dimension less, times that over the angle."""
    angle = torch.linspace(1e-6, math.pi - 1e-6, 200_001, dtype=torch.float64)
    assert callable(density)
    log_density = density(angle.cos(), torch.tensor(kappa, dtype=torch.float64), dim)
    log_area = math.log(2) + (dim - 1) / 2 * math.log(math.pi) - math.lgamma((dim - 1) / 2)
    values = (log_density + (dim - 2) * angle.sin().log() + log_area).exp()
    assert float(torch.trapezoid(values, angle)) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(("dim", "kappa"), [(8, 0.5), (8, 50.0), (256, 20.0), (256, 800.0)])
def test_von_mises_fisher_has_scipys_bessel_function(dim: int, kappa: float) -> None:
    order = dim / 2 - 1
    log_bessel = np.log(special.ive(order, kappa)) + kappa
    expected = kappa * 0.3 + order * math.log(kappa) - dim / 2 * math.log(2 * math.pi) - log_bessel
    actual = von_mises_fisher(torch.tensor(0.3, dtype=torch.float64), torch.tensor(kappa, dtype=torch.float64), dim)
    assert float(actual) == pytest.approx(expected, abs=3e-4)


def test_power_spherical_is_its_published_formula() -> None:
    dim, kappa, cosine = 8, 7.0, 0.6
    b = (dim - 1) / 2
    a = b + kappa
    normaliser = 2 ** (a + b) * math.pi**b * math.gamma(a) / math.gamma(a + b)
    actual = power_spherical(torch.tensor(cosine, dtype=torch.float64), torch.tensor(kappa, dtype=torch.float64), dim)
    assert float(actual) == pytest.approx(math.log((1 + cosine) ** kappa / normaliser), rel=1e-12)


@pytest.mark.parametrize("density", DENSITIES)
def test_gradients_are_finite_at_the_opposite_direction_and_far_concentrations(density: object) -> None:
    assert callable(density)
    cosine = torch.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    kappa = torch.tensor([[1e-3], [1.0], [1e5]], requires_grad=True)
    density(cosine, kappa, 64).sum().backward()
    assert cosine.grad is not None and kappa.grad is not None
    assert torch.isfinite(cosine.grad).all() and torch.isfinite(kappa.grad).all()


def test_the_expansion_is_refused_where_it_is_not_accurate() -> None:
    with pytest.raises(ValueError, match="8 dimensions"):
        von_mises_fisher(torch.tensor(0.0), torch.tensor(1.0), 7)
