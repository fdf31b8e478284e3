"""How a script tells its results: what in its source says so."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from taut.starting.literals import call_name, dotted, keyword
from taut.starting.sources import Source

__all__ = ["Line", "Results", "look", "minimised", "preference"]

_TRAINERS: Final = re.compile(
    r"^(Seq2Seq|SFT|DPO|GRPO|KTO|ORPO|CPO|GKD|RLOO|Reward|PPO|OnlineDPO|PRM)?Trainer$"
)
_PRINTERS: Final = ("print", "echo", "secho", "write", "print_rich", "rprint")
_LOGGERS: Final = ("info", "debug", "warning", "log")
_METRIC: Final = re.compile(
    r"loss|acc|error|\berr\b|perplexity|ppl|nll|bpb|bpc|mse|mae|rmse|f1|auc|auroc|score|reward|r2|bleu|rouge"
    r"|\bwer\b|\bcer\b|iou|\bmap\b|precision|recall|throughput|tokens_per|per_second|latency|seconds|metric"
)
_STEP: Final = re.compile(r"^(global_)?(step|epoch|iter|iteration|round|it|ep)s?$")
_SMALL: Final = re.compile(
    r"loss|error|\berr\b|perplexity|ppl|nll|bpb|bpc|mse|mae|rmse|\bwer\b|\bcer\b|latency|seconds|\btime\b"
)
_HELD_OUT: Final = re.compile(r"val|eval|dev|held")
_BATCH: Final = re.compile(r"batch(?!_?size)|loader")
_FOLD: Final = re.compile(r"fold|repeat|seed|split")
_NUMBER: Final = r"[^\s,;|)\]}]+"
_TAIL: Final = re.compile(r"([A-Za-z][\w/@.\- ]*?)['\"]?\s*(?:[=:]\s*|\s+)[(\[]?\s*$")


def minimised(metric: str) -> bool:
    """Whether a smaller value is the better one, by the metric's name."""
    return _SMALL.search(metric.lower().replace("_", " ").replace("-", " ")) is not None


def preference(metric: str) -> tuple[int, int]:
    """The smaller the more a metric is one to tune for: held-out data before training data, never the test's; losses first."""
    name = metric.lower()
    held = 0 if _HELD_OUT.search(name) else 3 if "test" in name else 2 if "train" in name else 1
    return held, 0 if "loss" in name else 1


@dataclass(frozen=True)
class Line:
    """A printed line with numbers. metrics: names to the text before each; step: the text before the step, if one is
    printed; counted: what the step is called in the script; first: the first step, where a loop says it; partial: whether it speaks of one batch or one fold."""

    where: str
    metrics: tuple[tuple[str, str], ...]
    step: str | None = None
    counted: str = ""
    first: int | None = None
    partial: bool = False

    @property
    def pattern(self) -> str:
        """A regular expression for `[results] stdout`; the step may be missing, as in a last line."""
        parts = [rf"{_spaced(text)}(?P<{name}>{_NUMBER})" for name, text in self.metrics]
        lead = "" if self.step is None else rf"(?:{_spaced(self.step)}(?P<step>[\d.]+).*?)?"
        return lead + ".*?".join(parts)


@dataclass(frozen=True)
class Results:
    """All that was found.

    reported: metrics given to taut.report; stepped: whether with a step; counted, first: as in `Line`. trainer: the Trainer
    that a script makes, and where; eval_data: whether it is given data to evaluate on; evaluates: whether data are given to its
    evaluate(). lines: printed lines, in order. logged: metrics that go to a logger, and so not to standard
    output. study: where the script makes a study itself. tensorboard: whether it writes event files.
    """

    reported: tuple[str, ...] = ()
    stepped: bool = False
    counted: str = ""
    first: int | None = None
    trainer: str = ""
    trainer_at: str = ""
    eval_data: bool = False
    evaluates: bool = False
    lines: tuple[Line, ...] = ()
    logged: tuple[str, ...] = ()
    study: str = ""
    where: str = ""
    suggested: bool = False


def look(modules: Sequence[Source]) -> Results:
    """What the source says about results."""
    reported: dict[str, None] = {}
    lines: list[Line] = []
    logged: list[str] = []
    told: dict[str, object] = {}
    for source in modules:
        loops = _loops(source)
        parts = _partial(source)
        for node in source.nodes:
            if not isinstance(node, ast.Call):
                continue
            name = call_name(node)
            if dotted(node.func) in ("taut.report", "report", "trial.report") and node.keywords:
                keys = [each.arg for each in node.keywords if each.arg and each.arg != "step"]
                reported |= dict.fromkeys(keys)
                step = next((each.value for each in node.keywords if each.arg == "step"), None)
                if step is not None:
                    told |= {"stepped": True, "counted": _counted(step), "first": _first(step, loops)}
                told.setdefault("where", source.at(node))
            elif _TRAINERS.match(name) and "transformers" in _libraries(modules):
                told |= {"trainer": name, "trainer_at": source.at(node)}
                told["eval_data"] = bool(told.get("eval_data")) or _given_data(node)
            elif name == "evaluate" and (node.args or keyword(node, "eval_dataset") is not None):
                told["evaluates"] = True
            elif dotted(node.func) in ("taut.Study", "Study") and "taut" in source.modules and source.own:
                told["study"] = source.at(node)
            elif name in (*_PRINTERS, *_LOGGERS):
                line = _line(source, node, loops)
                if line is None:
                    continue
                line = replace(line, partial=id(node) in parts)
                if name in _PRINTERS:
                    lines.append(line)
                else:
                    logged += [metric for metric, _ in line.metrics]
    return Results(tuple(reported), lines=tuple(lines), logged=tuple(logged), **told)  # type: ignore[arg-type]


def _given_data(trainer: ast.Call) -> bool:
    """Whether a Trainer is given an eval_dataset, or what may hold one; it is its fifth argument."""
    if len(trainer.args) > 4 or any(each.arg is None for each in trainer.keywords):
        return True
    data = keyword(trainer, "eval_dataset")
    return data is not None and not (isinstance(data, ast.Constant) and data.value is None)


def _libraries(modules: Sequence[Source]) -> frozenset[str]:
    found = frozenset().union(*(source.modules for source in modules))
    return found | {"transformers"} if found & {"trl", "transformers"} else found


def _line(source: Source, call: ast.Call, loops: dict[str, int | None]) -> Line | None:
    """The numbers in what a call prints."""
    metrics: list[tuple[str, str]] = []
    step, counted, first = None, "", None
    before = ""
    for part in _printed(source, call):
        if isinstance(part, str):
            before += part
            continue
        label = _TAIL.search(before)
        name = _metric_name(label[1]) if label else ""
        text = label[0] if label else ""
        value = _counted(part)
        if label and _STEP.match(name) and step is None and not metrics:
            counted = value if _STEP.match(value) else name
            step, first = text, _first(part, loops)
        elif label and _METRIC.search(name.replace("_", " ") + " " + name) and name not in dict(metrics):
            metrics.append((name, text))
        before = ""
    return Line(source.at(call), tuple(metrics), step, counted, first) if metrics else None


def _metric_name(text: str) -> str:
    """``val loss`` as a name that an objective can have: its last two words."""
    words = re.findall(r"\w+", text)
    return "_".join(words[-2:]).lower() if words else ""


def _spaced(text: str) -> str:
    """A literal text as a regular expression in which blanks may be of any number; not within a longer name."""
    return r"\b" + r"\s*".join(re.escape(part) for part in re.split(r"\s+", text)) if text.strip() else ""


def _printed(source: Source, call: ast.Call) -> Iterator[str | ast.expr]:
    """What is printed, as literal texts and the expressions between them."""
    for i, argument in enumerate(call.args):
        if i:
            yield " "
        yield from _pieces(argument)
    if call_name(call) in _PRINTERS and len(call.args) == 1 and isinstance(call.args[0], ast.Dict):
        for key, value in zip(call.args[0].keys, call.args[0].values, strict=True):
            if isinstance(key, ast.Constant):
                yield f"{key.value!r}: "
                yield value


def _pieces(node: ast.expr) -> Iterator[str | ast.expr]:
    match node:
        case ast.Constant(str(value)):
            yield value
        case ast.Constant():
            yield ast.unparse(node)
        case ast.JoinedStr(values):
            for each in values:
                if isinstance(each, ast.FormattedValue):
                    yield each.value
                else:
                    yield from _pieces(each)
        case ast.BinOp(ast.Constant(str(text)), ast.Mod(), right):
            given = list(right.elts) if isinstance(right, ast.Tuple) else [right]
            yield from _filled(re.split(r"%[-+ #0]*[\d.*]*[a-zA-Z]", text), given)
        case ast.BinOp(left, ast.Add(), right):
            yield from _pieces(left)
            yield from _pieces(right)
        case ast.Call(ast.Attribute(ast.Constant(str(text)), "format"), given, keywords):
            yield from _filled(re.split(r"\{[^{}]*\}", text), [*given, *(each.value for each in keywords)])
        case ast.Call(function, [only], []) if dotted(function) == "str":
            yield only
        case ast.Dict():
            return
        case _:
            yield node


def _filled(texts: Sequence[str], values: Sequence[ast.expr]) -> Iterator[str | ast.expr]:
    for i, text in enumerate(texts):
        yield text
        if i < len(texts) - 1:
            yield values[i] if i < len(values) else ast.Constant(None)


def _counted(node: ast.expr) -> str:
    """The name of what is counted: ``epoch`` of ``epoch + 1``."""
    return next((each.id for each in ast.walk(node) if isinstance(each, ast.Name)), "")


def _partial(source: Source) -> set[int]:
    """Calls within a loop over the batches of an epoch, or over folds: what they tell is no result of the whole."""
    found: set[int] = set()
    todo: list[tuple[ast.AST, tuple[ast.For, ...], bool]] = [(source.tree, (), False)]
    while todo:
        node, loops, epoch = todo.pop()
        match node:
            case ast.FunctionDef():
                loops, epoch = (), any("epoch" in each.arg for each in node.args.args)
            case ast.For():
                loops = (*loops, node)
            case ast.Call() if loops and _is_part(loops, epoch):
                found.add(id(node))
        todo += [(each, loops, epoch) for each in ast.iter_child_nodes(node)]
    return found


def _is_part(loops: Sequence[ast.For], epoch: bool) -> bool:
    targets = [ast.unparse(each.target).lower() for each in loops]
    if any(_FOLD.search(target) for target in targets):
        return True
    if _BATCH.search(f"{targets[-1]} {ast.unparse(loops[-1].iter).lower()}"):
        return True
    epochs = ["epoch" in target or target == "ep" for target in targets]
    return not epochs[-1] and (epoch or any(epochs[:-1]))


def _loops(source: Source) -> dict[str, int | None]:
    """Loop variables over a range, and where each begins; None where that is not seen."""
    found: dict[str, int | None] = {}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.For) and isinstance(node.target, ast.Name):
            begin = None
            for call in ast.walk(node.iter):
                if call_name(call) in ("range", "trange"):
                    assert isinstance(call, ast.Call)
                    start = source.names.value(call.args[0]) if len(call.args) > 1 else 0
                    begin = start if isinstance(start, int) else None
            found[node.target.id] = begin
    return found


def _first(node: ast.expr, loops: dict[str, int | None]) -> int | None:
    """The first value that a step takes: of ``epoch + 1``, where epoch counts from 0, it is 1."""
    match node:
        case ast.Name(name):
            return loops.get(name)
        case ast.BinOp(ast.Name(name), ast.Add(), ast.Constant(int(more))):
            begin = loops.get(name)
            return None if begin is None else begin + more
    return None
