"""Which calls of `add_argument` make flags of the whole program, which stand before a subcommand's name.

They are those on a parser that has subcommands, on its groups and its parents, also where a function is given that parser. Who is
also a parent of a subcommand, or given a subcommand's parser, stands behind the name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from taut.starting.literals import dotted, keyword
from taut.starting.sources import Source

__all__ = ["TopFlags"]

_GROUPS = ("add_argument_group", "add_mutually_exclusive_group")
_TURNS = 4  # functions that hand a parser on to others

Home = tuple[int, ast.AST | None]  # a module, and the function of it
Variable = tuple[Home, str]


class TopFlags:
    """Knows the parsers of these modules by the variables that hold them."""

    def __init__(self, modules: Sequence[Source]) -> None:
        self._calls: list[tuple[Home, ast.Call]] = []
        self._assigned: list[tuple[Variable, ast.expr]] = []
        self._functions: dict[str, list[tuple[Home, list[str]]]] = {}
        self._own: set[Variable] = set()  # what functions assign or take
        for i, source in enumerate(modules):
            self._read((i, None), source.tree)
        self._homes = {id(call): home for home, call in self._calls}
        self._tops = self._found()

    def has(self, call: ast.Call) -> bool:
        """Whether this call of `add_argument` makes such a flag."""
        assert isinstance(call.func, ast.Attribute)
        return self._is_top(self._homes[id(call)], call.func.value)

    def _read(self, home: Home, node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            within = home
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                within = (home[0], child)
                arguments = (*child.args.posonlyargs, *child.args.args, *child.args.kwonlyargs)
                names = [each.arg for each in arguments if each.arg not in ("self", "cls")]
                self._functions.setdefault(child.name, []).append((within, names))
                self._own |= {(within, name) for name in names}
            elif isinstance(child, ast.Call):
                self._calls.append((home, child))
            elif isinstance(child, ast.Assign) and (name := dotted(child.targets[0])):
                self._own.add((home, name))
                self._assigned.append(((home, name), child.value))
            self._read(within, child)

    def _variable(self, home: Home, name: str) -> Variable:
        return (home, name) if (home, name) in self._own else ((home[0], None), name)

    def _is_top(self, home: Home, owner: ast.expr, tops: set[Variable] | None = None) -> bool:
        match owner:
            case ast.Call(ast.Attribute(inner, method)) if method in _GROUPS:
                return self._is_top(home, inner, tops)
        name = dotted(owner)
        return bool(name) and self._variable(home, name) in (self._tops if tops is None else tops)

    def _found(self) -> set[Variable]:
        tops = {
            self._variable(home, name)
            for home, call in self._calls
            if isinstance(call.func, ast.Attribute)
            and call.func.attr == "add_subparsers"
            and (name := dotted(call.func.value))
        }
        below = {
            variable
            for home, call in self._calls
            if _method(call) == "add_parser"
            for variable in self._parents(home, call)
        }
        for _ in range(_TURNS):
            more = {
                variable
                for holder, value in self._assigned
                if holder in tops and isinstance(value, ast.Call)
                for variable in self._parents(holder[0], value)
            }
            more |= {
                holder
                for holder, value in self._assigned
                if _method(value) in _GROUPS and self._is_top(holder[0], value, tops)
            }
            more |= {*self._handed_on(tops), *self._returned(tops)}
            if more - below <= tops:
                break
            tops |= more - below
        return tops

    def _parents(self, home: Home, call: ast.Call) -> Iterator[Variable]:
        given = keyword(call, "parents")
        for each in given.elts if isinstance(given, ast.List | ast.Tuple) else ():
            if name := dotted(each):
                yield self._variable(home, name)

    def _handed_on(self, tops: set[Variable]) -> Iterator[Variable]:
        """Arguments of functions that are such a parser wherever the function is called."""
        for name, places in self._functions.items():
            calls = [
                (home, call) for home, call in self._calls if dotted(call.func).rpartition(".")[2] == name
            ]
            for within, names in places:
                for i, argument in enumerate(names):
                    given = [
                        (home, call.args[i] if i < len(call.args) else keyword(call, argument))
                        for home, call in calls
                    ]
                    if given and all(
                        value is not None and self._is_top(home, value, tops) for home, value in given
                    ):
                        yield within, argument

    def _returned(self, tops: set[Variable]) -> Iterator[Variable]:
        """What functions return that make such a parser."""
        for holder, value in self._assigned:
            if holder not in tops or not isinstance(value, ast.Call):
                continue
            for within, _ in self._functions.get(dotted(value.func).rpartition(".")[2], []):
                for node in ast.walk(within[1]) if within[1] is not None else ():
                    if isinstance(node, ast.Return) and (name := dotted(node.value)):
                        yield self._variable(within, name)


def _method(node: ast.expr) -> str:
    return node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
