"""Tree-structured Parzen estimator: proposals from two densities, one of good trials and one of bad ones."""

from taut.samplers.tpe.sampler import TPESampler

__all__ = ["TPESampler"]
