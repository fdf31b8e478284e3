"""Bayesian linear regression in closed form: the normal-inverse-gamma posterior and its predictions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import lapack
from scipy.special import gammaln

from taut.space.prior import Floats

__all__ = ["NormalInverseGamma"]


@dataclass(frozen=True, eq=False)
class NormalInverseGamma:
    """What is known of the weights and the noise of y = phi @ beta + noise, after `count` observations.

    Choose it where observations are many and answers must be quick: an observation costs O(m^2), whatever came before.
    Several outputs may share the features (columns of y); each has weights and a noise of its own. The prior says
    sigma^2 ~ InverseGamma(shape, rate) and beta | sigma^2 ~ N(0, sigma^2/ridge), so the posterior has the same form, with
    ``Lambda = ridge*I + Phi'Phi``, ``mean = inv(Lambda) Phi'y``, ``a = shape + count/2``,
    ``b = rate + (y'y - mean'Lambda mean)/2`` (Bishop, Pattern Recognition and Machine Learning, 2006, exercise 3.12; Murphy,
    Machine Learning, 2012, section 7.6.3).

    shape, rate: a0 and b0, above 0. The noise variance is expected near b0/(a0 + 1); 2*a0 counts as many observations of it.
    ridge: above 0; how large the noise is beside the signal, before any observation: a weight's variance is sigma^2/ridge.
    covariance: (m, m) inv(Lambda). log_det: ln |Lambda|. moments: (m, q) Phi'y. squares: (q,) sums of y^2.

    Begin with `prior`; `update` returns a new object and leaves the old as it was.
    """

    shape: float
    rate: float
    ridge: float
    covariance: Floats
    log_det: float
    moments: Floats
    squares: Floats
    count: int

    @staticmethod
    def prior(
        features: int, outputs: int = 1, *, shape: float = 1.0, rate: float = 0.05, ridge: float = 1.0
    ) -> NormalInverseGamma:
        """Before any observation."""
        return NormalInverseGamma(
            shape,
            rate,
            ridge,
            covariance=np.eye(features) / ridge,
            log_det=features * float(np.log(ridge)),
            moments=np.zeros((features, outputs)),
            squares=np.zeros(outputs),
            count=0,
        )

    def update(self, phi: Floats, y: Floats | float) -> NormalInverseGamma:
        """With one observation more: features (m,), outputs (q,). Sherman & Morrison (1950): O(m^2)."""
        y = np.atleast_1d(np.asarray(y, float))
        covariance, log_det = grown(self.covariance, self.log_det, phi)
        return self._with(
            covariance, log_det, self.moments + np.outer(phi, y), self.squares + y * y, self.count + 1
        )

    def batch(self, phi: Floats, y: Floats) -> NormalInverseGamma:
        """With many observations more: features (n, m), outputs (n, q) or (n,). By a Cholesky decomposition: O(n m^2 + m^3)."""
        y = np.asarray(y, float).reshape(len(phi), len(self.squares))
        if not len(phi):
            return self
        precision = phi.T @ phi
        precision += inverse(self.covariance)[0] if self.count else self.ridge * np.eye(phi.shape[1])
        covariance, log_det = inverse(precision)
        return self._with(
            covariance,
            log_det,
            self.moments + phi.T @ y,
            self.squares + (y * y).sum(axis=0),
            self.count + len(phi),
        )

    def _with(
        self, covariance: Floats, log_det: float, moments: Floats, squares: Floats, count: int
    ) -> NormalInverseGamma:
        return NormalInverseGamma(
            self.shape, self.rate, self.ridge, covariance, log_det, moments, squares, count
        )

    # -- what follows from it ------------------------------------------------------------------------

    @cached_property
    def mean(self) -> Floats:
        """(m, q) expected weights."""
        return np.asarray(self.covariance @ self.moments)

    @property
    def a(self) -> float:
        return self.shape + 0.5 * self.count

    @cached_property
    def b(self) -> Floats:
        """(q,)"""
        explained = np.einsum("mq,mq->q", self.moments, self.mean)
        return np.asarray(self.rate + 0.5 * np.maximum(self.squares - explained, 0.0))

    @cached_property
    def _factor(self) -> Floats:
        """Lower triangular, its product with its transpose is the covariance."""
        return np.asarray(np.linalg.cholesky(self.covariance), np.float64)

    def predict(self, phi: Floats, *, noise: bool = True) -> tuple[float, Floats, Floats]:
        """Of the next observation at features (k, m), a Student t: its degrees of freedom, means (k, q) and scales (k, q).

        noise: False for the regression function itself rather than an observation of it.
        """
        spread = np.einsum("km,km->k", phi @ self.covariance, phi) + float(noise)
        return 2.0 * self.a, phi @ self.mean, np.sqrt(np.outer(spread, self.b / self.a))

    def draw(self, generator: np.random.Generator, size: int = 1) -> tuple[Floats, Floats]:
        """Noise variances (size, q) and weights (m, size, q), drawn from the posterior: O(m^3) once, then O(m^2) each."""
        m, q = self.moments.shape
        sigma2 = self.b / generator.gamma(self.a, size=(size, q))
        normals = (self._factor @ generator.standard_normal((m, size * q))).reshape(m, size, q)
        return sigma2, self.mean[:, None, :] + np.sqrt(sigma2) * normals

    def evidence(self) -> Floats:
        """(q,) ln p(y): how probable these observations were under the prior. Compares features on the same data."""
        m = len(self.moments)
        constant = gammaln(self.a) - gammaln(self.shape) - 0.5 * self.count * np.log(2 * np.pi)
        determinants = 0.5 * (m * np.log(self.ridge) - self.log_det)
        fit = self.shape * np.log(self.rate) - self.a * np.log(self.b)
        return np.asarray(determinants + constant + fit)


def grown(covariance: Floats, log_det: float, phi: Floats) -> tuple[Floats, float]:
    """inv(Lambda + phi phi') and its ln |Lambda + phi phi'|, from those of Lambda."""
    k = covariance @ phi
    s = 1.0 + float(phi @ k)
    return covariance - np.outer(k, k / s), log_det + float(np.log(s))


def inverse(matrix: Floats) -> tuple[Floats, float]:
    """The inverse of a symmetric positive definite matrix, and ln of the determinant of `matrix`."""
    factor, fault = lapack.dpotrf(matrix, lower=1)
    if fault:
        raise np.linalg.LinAlgError("a precision matrix is not positive definite")
    lower, _ = lapack.dpotri(factor, lower=1)
    lower = np.tril(lower)
    return lower + np.tril(lower, -1).T, 2.0 * float(np.log(np.diag(factor)).sum())
