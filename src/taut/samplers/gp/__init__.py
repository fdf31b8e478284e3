"""Bayesian optimisation with a Gaussian process: `sampler.py` tells the whole; the other modules a part each."""

from taut.samplers.gp.sampler import GPSampler

__all__ = ["GPSampler"]
