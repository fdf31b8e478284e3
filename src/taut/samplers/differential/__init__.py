"""Differential evolution: children differ from their parents by what other parents differ by."""

from taut.samplers.differential.sampler import DifferentialSampler

__all__ = ["DifferentialSampler"]
