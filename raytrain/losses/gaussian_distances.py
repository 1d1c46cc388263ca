"""Distances between diagonal Gaussians beside 2-Wasserstein, as alternatives of RAU's distribution regularisation (DR).

Each takes means and log variances, (..., D) each, and is 0 where the two Gaussians are equal.
"""

from __future__ import annotations

from torch import Tensor


def symmetric_divergence(mean: Tensor, log_variance: Tensor, mean_to: Tensor, log_variance_to: Tensor) -> Tensor:
    """(...) mean of the two Kullback-Leibler divergences, summed over dimensions.

    1/4 sum [(v + d^2) / v' + (v' + d^2) / v - 2], d the difference of the means: the logarithms of the two cancel. It
    grows with 1 / variance, and is far larger than 2-Wasserstein where Gaussians are narrow.

    Args:
        mean, log_variance, mean_to, log_variance_to: (..., D)
    """
    squared, ratio = (mean - mean_to).square(), log_variance - log_variance_to
    # v / v' + v' / v - 2 = 2 (cosh(ratio) - 1) = 4 sinh(ratio / 2)^2, which keeps its digits near 0
    apart = squared * ((-log_variance).exp() + (-log_variance_to).exp())
    return (4 * (ratio / 2).sinh().square() + apart).sum(-1) / 4


def bhattacharyya(mean: Tensor, log_variance: Tensor, mean_to: Tensor, log_variance_to: Tensor) -> Tensor:
    """(...) -log of the overlap integral of sqrt(p q): 1/8 sum d^2 / w + 1/2 sum log(w / sqrt(v v')), w = (v + v') / 2.

    Args:
        mean, log_variance, mean_to, log_variance_to: (..., D)
    """
    middle = (log_variance + log_variance_to) / 2
    # w / sqrt(v v') = cosh((log v - log v') / 2)
    wider = ((log_variance - log_variance_to) / 2).cosh().log()
    return ((mean - mean_to).square() * (-middle - wider).exp() / 8 + wider / 2).sum(-1)


def gaussian_mmd(mean: Tensor, log_variance: Tensor, mean_to: Tensor, log_variance_to: Tensor) -> Tensor:
    """(...) squared maximum mean discrepancy E k(x, x') - 2 E k(x, y) + E k(y, y') of two Gaussians, in [0, 2].

    k(x, y) = exp(-||x - y||^2 / (2 D)), so that the kernel's width grows with the number of dimensions as distances do.
    Its expectation over two Gaussians is closed: prod_d (1 + (v + v') / D)^(-1/2) exp(-d^2 / (2 (D + v + v'))).

    Args:
        mean, log_variance, mean_to, log_variance_to: (..., D)
    """
    dim = mean.shape[-1]
    variance, variance_to = log_variance.exp(), log_variance_to.exp()

    def expected(spread: Tensor, squared: Tensor | float = 0.0) -> Tensor:
        """E k, `spread` the sum of the two variances and `squared` the squared difference of the means."""
        return (-((spread / dim).log1p() + squared / (dim + spread)).sum(-1) / 2).exp()

    between = expected(variance + variance_to, (mean - mean_to).square())
    within, within_to = expected(2 * variance), expected(2 * variance_to)
    return (within + within_to - 2 * between).clamp(min=0)
