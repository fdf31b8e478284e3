"""What may be tuned and what is believed about it: `Space` and the kinds of parameters."""

from __future__ import annotations

from taut.space.bell import LogNormal as lognormal
from taut.space.bell import Normal as normal
from taut.space.continuous import LogUniform as loguniform
from taut.space.continuous import Uniform as uniform
from taut.space.expression import Expression
from taut.space.integers import LogUniformInt as loguniform_int
from taut.space.integers import UniformInt as uniform_int
from taut.space.levels import Choice as choice
from taut.space.levels import Ordinal as ordinal
from taut.space.parameter import Expr as expr
from taut.space.parameter import Parameter, Searched
from taut.space.space import Space

__all__ = [
    "Expression",
    "Parameter",
    "Searched",
    "Space",
    "choice",
    "expr",
    "lognormal",
    "loguniform",
    "loguniform_int",
    "normal",
    "ordinal",
    "uniform",
    "uniform_int",
]
