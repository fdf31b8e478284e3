"""The grammar of expressions: from text to a small, safe tree.

Python's own parser reads the text; a whitelist then keeps what the language has and refuses the
rest. Nothing is ever compiled or executed. In the tree that comes out, ``-1`` is one constant, and a
dotted name such as ``model.lr`` is one `ast.Name`.
"""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Iterator

from taut.errors import InputError, nearest
from taut.space.prior import EXACT

__all__ = ["FUNCTIONS", "names", "number_of", "parse", "shown"]

FUNCTIONS = ("log", "max", "min", "round", "sqrt")
LONGEST = 1000  # characters
LARGEST = 200  # nodes
STEEPEST = 64  # exponent

_BINARY = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
_COMPARE = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn)
_HAS = "an expression has names, numbers, texts, + - * / // % **, comparisons, and or not in, " + " ".join(
    FUNCTIONS
)
_HINTS = (("&&", "write and for &&"), ("||", "write or for ||"), ("!", "write not for !, and != for unequal"))


def parse(text: str) -> ast.expr:
    """The tree of `text`. Raises `InputError`."""
    if not isinstance(text, str):
        raise InputError(f'{text!r} is not an expression; write it as a text, for instance "2 * lora_r"')
    if not text.strip():
        raise InputError('the expression is empty; write one, for instance "2 * lora_r"')
    if len(text) > LONGEST:
        raise InputError(
            f"the expression has {len(text)} characters; at most {LONGEST} are allowed, so split it up"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's advice on Python; ours comes from the whitelist
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise InputError(f"{text!r} is not an expression; {_hint(text)}") from None
    size = sum(isinstance(node, ast.expr) for node in ast.walk(tree))
    if size > LARGEST:
        raise InputError(f"the expression has {size} parts; at most {LARGEST} are allowed, so split it up")
    return _keep(tree)


def names(tree: ast.expr) -> tuple[str, ...]:
    """The names in the tree, each once, in the order of the text."""
    return tuple(dict.fromkeys(_names(tree)))


def shown(tree: ast.expr) -> str:
    """The text of a tree, in one spelling whatever the user's spaces and brackets were."""
    return ast.unparse(tree)


def number_of(node: ast.AST) -> float | None:
    """The number that is written there; None for anything else."""
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, int | float)
        and not isinstance(node.value, bool)
    ):
        return node.value
    return None


def _names(tree: ast.AST) -> Iterator[str]:
    if isinstance(tree, ast.Name):
        yield tree.id
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(tree, ast.Call) and child is tree.func):
            yield from _names(child)


def _hint(text: str) -> str:
    bare = text.replace("!=", "")
    for sign, hint in _HINTS:
        if sign in bare:
            return hint
    for sign in ("==", "!=", "<=", ">="):
        bare = bare.replace(sign, "")
    return "write == to compare" if "=" in bare else _HAS


def _refuse(node: ast.expr, why: str) -> InputError:
    return InputError(f"{ast.unparse(node)!r}: {why}")


def _keep(node: ast.expr) -> ast.expr:
    """`node` rebuilt from allowed parts only."""
    match node:
        case ast.Constant():
            return _constant(node)
        case ast.Name(id=name):
            return ast.Name(name, ast.Load())
        case ast.Attribute():
            return ast.Name(_dotted(node), ast.Load())
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            kept = _keep(operand)
            written = number_of(kept)
            return ast.UnaryOp(ast.USub(), kept) if written is None else ast.Constant(-written)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return ast.UnaryOp(ast.Not(), _keep(operand))
        case ast.BinOp(left=left, op=op, right=right) if isinstance(op, _BINARY):
            left, right = _keep(left), _keep(right)
            if isinstance(op, ast.Pow):
                _check_exponent(right)
            return ast.BinOp(left, op, right)
        case ast.BoolOp(op=bool_op, values=values):
            return ast.BoolOp(bool_op, [_keep(value) for value in values])
        case ast.Compare():
            return _comparison(node)
        case ast.Call():
            return _call(node)
        case ast.List() | ast.Tuple():
            raise _refuse(node, "a list stands only after in, for instance optim in ['sgd', 'adam']")
    raise _refuse(node, f"not allowed here; {_HAS}")


def _constant(node: ast.Constant) -> ast.Constant:
    value = node.value
    if value is None or isinstance(value, bool | str):
        return ast.Constant(value)
    if isinstance(value, int) and value > EXACT:
        raise _refuse(node, f"too large; whole numbers go up to 2**53 = {EXACT}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError("a number in the expression is too large; numbers go up to 1.8e308")
    if not isinstance(value, int | float):
        raise _refuse(node, f"not allowed here; {_HAS}")
    return ast.Constant(value)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Name):
        return node.id
    raise _refuse(node, "a dot joins the parts of a name, as in model.lr, and nothing else")


def _check_exponent(node: ast.expr) -> None:
    exponent = number_of(node)
    if exponent is None or abs(exponent) > STEEPEST:
        raise _refuse(node, f"an exponent is a written number from -{STEEPEST} to {STEEPEST}, as in x ** 2")


def _comparison(node: ast.Compare) -> ast.Compare:
    right: list[ast.expr] = []
    for op, operand in zip(node.ops, node.comparators, strict=True):
        if not isinstance(op, _COMPARE):
            raise _refuse(node, "write == and != to compare; there is no is")
        if isinstance(op, ast.In | ast.NotIn):
            right.append(_literals(operand))
        else:
            right.append(_keep(operand))
    if len(node.ops) > 1 and any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
        raise _refuse(node, "in cannot be chained; join two comparisons with and")
    return ast.Compare(_keep(node.left), node.ops, right)


def _literals(node: ast.expr) -> ast.expr:
    if isinstance(node, ast.List | ast.Tuple) and node.elts:
        kept = [_keep(item) for item in node.elts]
        if all(isinstance(item, ast.Constant) for item in kept):
            return ast.List(kept, ast.Load())
    raise _refuse(node, "after in stands a list of written values, for instance optim in ['sgd', 'adam']")


def _call(node: ast.Call) -> ast.Call:
    name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
    if name not in FUNCTIONS:
        raise _refuse(
            node, f"{name!r} is no function here; there are {', '.join(FUNCTIONS)}{nearest(name, FUNCTIONS)}"
        )
    if node.keywords or any(isinstance(a, ast.Starred) for a in node.args):
        raise _refuse(
            node,
            f"{name} takes plain arguments only, as in {name}(x{', y' if name in ('min', 'max') else ''})",
        )
    several = name in ("min", "max")
    if len(node.args) < 2 if several else len(node.args) != 1:
        wanted = "two or more arguments" if several else "one argument"
        raise _refuse(node, f"{name} takes {wanted}, not {len(node.args)}")
    return ast.Call(ast.Name(name, ast.Load()), [_keep(a) for a in node.args], [])
