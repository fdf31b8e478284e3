"""The normal distribution of CMA-ES and its update.

Equations are those of Hansen's tutorial, arXiv:1604.00772. Nothing here is changed: an update gives another distribution.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np

from taut.space.prior import Bools, Floats

__all__ = ["Gaussian", "Rates"]

_REACH = 2.0  # deviations
_NARROWEST, _WIDEST = 1e-12, 1.0  # largest deviation, as a share of the range
_FAR = 2.0  # times the length at which the paper on injection cuts; own draws hardly ever come so far
_FLATTEST = 1e-20  # least eigenvalue, as a share of the largest


@dataclasses.dataclass(frozen=True)
class Rates:
    """How fast which part learns, from n parameters and a population; Table 1."""

    weights: Floats
    mu: int
    mu_eff: float
    c_sigma: float
    d_sigma: float
    c_c: float
    c_1: float
    c_mu: float
    chi: float  # expected length of a standard normal vector
    longest: float  # step, in deviations

    @staticmethod
    @functools.lru_cache(maxsize=256)
    def of(n: int, population: int) -> Rates:
        n = max(n, 1)
        raw = math.log((population + 1) / 2) - np.log(np.arange(1, population + 1))  # eq. 49
        mu = population // 2
        up, down = raw[raw > 0], raw[raw < 0]
        mu_eff = float(raw[:mu].sum() ** 2 / (raw[:mu] ** 2).sum())
        mu_down = float(raw[mu:].sum() ** 2 / (raw[mu:] ** 2).sum())
        c_1 = 2 / ((n + 1.3) ** 2 + mu_eff)  # eq. 57
        c_mu = min(1 - c_1 - 1e-8, 2 * (mu_eff - 2 + 1 / mu_eff) / ((n + 2) ** 2 + mu_eff))  # eq. 58
        bounds = 1 + c_1 / c_mu, 1 + 2 * mu_down / (mu_eff + 2), (1 - c_1 - c_mu) / (n * c_mu)  # eq. 50 to 52
        least = min(bounds)
        weights = np.where(raw > 0, raw / up.sum(), least * raw / -down.sum())  # eq. 53
        c_sigma = (mu_eff + 2) / (n + mu_eff + 5)  # eq. 55
        d_sigma = 1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma
        c_c = (4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n)  # eq. 56
        chi = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2))
        longest = _FAR * (math.sqrt(n) + 2 * n / (n + 2))  # Hansen, arXiv:1110.4181, Table 1
        return Rates(weights, mu, mu_eff, c_sigma, d_sigma, c_c, c_1, c_mu, chi, longest)


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """Points are `mean` + `stretch` * `sigma` * N(0, `cov`), in n ordered parameters.

    mean: (n,). sigma: step size. cov: (n, n). root, inverse: (n, n) cov to the power 1/2 and -1/2; the symmetric root, since it depends
    on nothing that a machine may choose, such as signs of eigenvectors. stretch: (n,) more than 1 where a discrete parameter would
    otherwise get stuck in a cell (see `margin.py`). path_sigma, path_c: (n,) evolution paths. ratio: of the longest axis to the
    shortest. generation: updates so far.
    """

    mean: Floats
    sigma: float
    cov: Floats
    root: Floats
    inverse: Floats
    stretch: Floats
    path_sigma: Floats
    path_c: Floats
    ratio: float = 1.0
    generation: int = 0

    @staticmethod
    def begun(mean: Floats, deviation: Floats) -> Gaussian:
        """With independent parameters. deviation: (n,) above 0."""
        n = len(mean)
        sigma = math.exp(float(np.log(deviation).mean())) if n else 1.0
        scale = deviation / sigma
        ratio = float(scale.max() / scale.min()) if n else 1.0
        root, inverse, cov = np.diag(scale), np.diag(1 / scale), np.diag(scale**2)
        return Gaussian(mean, sigma, cov, root, inverse, np.ones(n), np.zeros(n), np.zeros(n), ratio)

    @property
    def deviation(self) -> Floats:
        """(n,) of each parameter before it is stretched."""
        return np.asarray(self.sigma * np.sqrt(np.diag(self.cov)))

    def sample(self, rng: np.random.Generator) -> Floats:
        """(n,) a draw; eq. 38 to 40."""
        step = self.root @ rng.standard_normal(len(self.mean))
        return np.asarray(self.mean + self.stretch * self.sigma * step)

    def held(self, within: Bools) -> Gaussian:
        """With its mean not far outside of the unit cube, in the parameters `within` (n,): what is there must still be drawn at times."""
        reach = np.where(within, _REACH * self.deviation, np.inf)
        return dataclasses.replace(self, mean=np.clip(self.mean, -reach, 1.0 + reach))

    def told(self, points: Floats) -> Gaussian:
        """After a generation of points (population, n), best first.

        Steps that are longer than it would draw are cut: they come from another distribution, such as another sampler's
        (Hansen, arXiv:1110.4181, eq. 4).
        """
        n, rates = len(self.mean), Rates.of(len(self.mean), len(points))
        y = (points - self.mean) / (self.stretch * self.sigma)
        length = np.sqrt(((y @ self.inverse) ** 2).sum(axis=1))
        short = np.minimum(1.0, rates.longest / np.maximum(length, 1e-12))
        y, length = y * short[:, None], length * short

        y_w = rates.weights[: rates.mu] @ y[: rates.mu]  # eq. 41
        mean = self.mean + self.stretch * self.sigma * y_w  # eq. 42

        c, mu_eff = rates.c_sigma, rates.mu_eff
        white = self.inverse @ y_w
        path_sigma = (1 - c) * self.path_sigma + math.sqrt(c * (2 - c) * mu_eff) * white  # eq. 43
        far = float(np.linalg.norm(path_sigma))
        sigma = self.sigma * math.exp(min(1.0, c / rates.d_sigma * (far / rates.chi - 1)))  # eq. 44

        c = rates.c_c
        usual = far / math.sqrt(1 - (1 - rates.c_sigma) ** (2 * (self.generation + 2)))
        h = 1.0 if usual < (1.4 + 2 / (n + 1)) * rates.chi else 0.0
        path_c = (1 - c) * self.path_c + h * math.sqrt(c * (2 - c) * mu_eff) * y_w  # eq. 45
        w = rates.weights * np.where(rates.weights >= 0, 1.0, n / (length**2 + 1e-8))  # eq. 46
        keep = 1 + rates.c_1 * (1 - h) * c * (2 - c) - rates.c_1 - rates.c_mu * rates.weights.sum()
        cov = keep * self.cov + rates.c_1 * np.outer(path_c, path_c) + rates.c_mu * (y.T * w) @ y  # eq. 47

        squares, axes = np.linalg.eigh((cov + cov.T) / 2)
        squares = np.maximum(squares, _FLATTEST * squares.max(initial=0.0))
        lengths = np.sqrt(squares)
        cov = (axes * squares) @ axes.T
        widest = sigma * math.sqrt(float(np.diag(cov).max(initial=0.0)))
        if widest:
            sigma *= min(max(widest, _NARROWEST), _WIDEST) / widest
        return Gaussian(
            mean=mean,
            sigma=sigma,
            cov=cov,
            root=(axes * lengths) @ axes.T,
            inverse=(axes / lengths) @ axes.T,
            stretch=self.stretch,
            path_sigma=path_sigma,
            path_c=path_c,
            ratio=float(lengths[-1] / lengths[0]) if n else 1.0,
            generation=self.generation + 1,
        )
