"""Meters: what a trial takes of a machine, in numbers.

Most need no code: seconds, processor time, memory, GPU-hours, energy are measured of every trial, and an objective or a constraint
may name them (`taut.readings` has the list, docs/meters.md what each means). A script that counts tokens has `Throughput`.

    own           a trial in this very process        watch    trials side by side, seen from outside
    cuda          all that is asked of PyTorch        tree     the memory of processes and what they have started
    throughput    tokens a second, after warm-up      nvml     all that is asked of NVIDIA's library
    lacking       what cannot be measured here        rapl     the processors' counters of energy
    leaks         what trials leave on the GPU
"""

from taut.metrics.meters.throughput import Throughput

__all__ = ["Throughput"]
