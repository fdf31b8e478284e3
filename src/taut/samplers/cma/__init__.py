"""Covariance matrix adaptation: a normal distribution that learns where and along which directions losses fall."""

from taut.samplers.cma.sampler import CMASampler

__all__ = ["CMASampler"]
