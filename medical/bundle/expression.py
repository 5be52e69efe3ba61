"""Expressions of a bundle, `$@bundle_root + '/models/model.pt'`, interpreted node by node; Python never runs them.

Known are literals, references, arithmetic, comparisons, conditions, subscripts, comprehensions, lambdas over tensors,
and the names and calls of `medical.bundle.known`. Everything else is refused by its name.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from medical.bundle import known
from medical.bundle.values import CODE, Called, Component, Function, Name, TorchScript
from vol3d.errors import CheckpointError, Vol3dError

MAX_TEXT, MAX_STEPS, MAX_ITEMS = 2000, 50_000, 100_000
_REFERENCE = re.compile(r"@\w*(?:::\w*)*")
_STAND_IN = "reference_"

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
_UNARY: dict[type, Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_SEQUENCES: dict[type, Callable[[list[Any]], Any]] = {ast.List: list, ast.Tuple: tuple, ast.Set: set}


def evaluate(
    text: str,
    refer: Callable[[str], Any],
    exists: Callable[[str], bool],
    aliases: Mapping[str, str],
    where: str,
) -> Any:
    """The value of an expression.

    Args:
        text: without the leading `$`.
        refer: the value of the entry with an id, `inferer::roi_size`.
        exists: whether a path of the configuration is there.
        aliases: name -> what it stands for, as the bundle's imports say: `np` -> `numpy`.
        where: file and id of the entry, for messages.

    Raises:
        CheckpointError: it is no expression, or asks for what is not known.
    """
    return _Evaluator(text, refer, exists, aliases, where).result()


class _Evaluator:
    def __init__(
        self,
        text: str,
        refer: Callable[[str], Any],
        exists: Callable[[str], bool],
        aliases: Mapping[str, str],
        where: str,
    ) -> None:
        self.text, self.refer, self.exists, self.aliases, self.where = text.strip(), refer, exists, aliases, where
        self.ids: list[str] = []
        self.bound: dict[str, Any] = {}
        self.steps = 0

    def result(self) -> Any:
        if len(self.text) > MAX_TEXT:
            raise self.refused("an expression that is too long", wanted=f"<= {MAX_TEXT} letters")
        try:
            tree = ast.parse(_REFERENCE.sub(self._stand_in, self.text.replace("#", "::")), mode="eval")
            return self.value(tree.body)
        except Vol3dError:
            raise
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise self.refused("no expression", wanted=str(error)[:100] or None) from error
        except Exception as error:  # 'a' + 1, [][3]: what plain values raise among themselves
            raise self.refused(f"cannot be computed ({type(error).__name__}: {str(error)[:100]})") from error

    def refused(self, what: str, **facts: Any) -> CheckpointError:
        return CheckpointError(what, where=self.where, **{"got": f"${self.text[:200]}", "do": CODE, **facts})

    def _stand_in(self, match: re.Match[str]) -> str:
        self.ids.append(match[0][1:])
        return f"{_STAND_IN}{len(self.ids) - 1}"

    def value(self, node: ast.AST) -> Any:
        """The value of one node."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise self.refused("an expression that takes too long")
        visit = getattr(self, f"_{type(node).__name__.lower()}", None)
        if visit is None:
            raise self.refused(f"'{type(node).__name__}' in an expression is not known")
        return visit(node)

    def _constant(self, node: ast.Constant) -> Any:
        return node.value

    def _name(self, node: ast.Name) -> Any:
        if node.id.startswith(_STAND_IN):
            return self.refer(self.ids[int(node.id.removeprefix(_STAND_IN))])
        if node.id in self.bound:
            return self.bound[node.id]
        return self._known(node.id)

    def _attribute(self, node: ast.Attribute) -> Any:
        return self._known(self._dotted(node))

    def _known(self, dotted: str) -> Any:
        found = known.NAMES.get(self._canonical(dotted))
        if found is None and dotted != "None":
            raise self.refused(f"the name '{dotted}' is not known")
        return found

    def _canonical(self, dotted: str) -> str:
        first, _, rest = dotted.partition(".")
        first = self.aliases.get(first, first)
        return f"{first}.{rest}" if rest else first

    def _dotted(self, node: ast.AST) -> str:
        if isinstance(node, ast.Attribute):
            return f"{self._dotted(node.value)}.{node.attr}"
        if isinstance(node, ast.Name) and node.id not in self.bound and not node.id.startswith(_STAND_IN):
            return node.id
        raise self.refused(f"an attribute of '{ast.unparse(node)[:60]}' is not known")

    def _list(self, node: ast.List | ast.Tuple | ast.Set) -> Any:
        return _SEQUENCES[type(node)](self._values(node.elts))

    _tuple = _set = _list

    def _values(self, nodes: Sequence[ast.expr]) -> list[Any]:
        items: list[Any] = []
        for node in nodes:
            items += self.value(node.value) if isinstance(node, ast.Starred) else [self.value(node)]
        return items

    def _dict(self, node: ast.Dict) -> Any:
        found: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            found |= self.value(value) if key is None else {self.value(key): self.value(value)}
        return found

    def _ifexp(self, node: ast.IfExp) -> Any:
        return self.value(node.body if self.value(node.test) else node.orelse)

    def _boolop(self, node: ast.BoolOp) -> Any:
        result: Any = None
        for value in node.values:
            result = self.value(value)
            if bool(result) != isinstance(node.op, ast.And):
                break
        return result

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        return _UNARY[type(node.op)](self.value(node.operand))

    def _binop(self, node: ast.BinOp) -> Any:
        apply = _BINARY.get(type(node.op))
        if apply is None:
            raise self.refused(f"'{type(node.op).__name__}' in an expression is not known")
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(node.op, ast.Mult | ast.Mod) and any(
            isinstance(one, str | list | tuple) for one in (left, right)
        ):
            size = max(len(one) if isinstance(one, str | list | tuple) else one for one in (left, right))
            if isinstance(node.op, ast.Mod) or size > 1000:
                raise self.refused("repeats a text or a list too often, or formats one")
        return apply(left, right)

    def _compare(self, node: ast.Compare) -> Any:
        left, result = self.value(node.left), True
        for compare, right in zip(node.ops, map(self.value, node.comparators), strict=True):
            result = _COMPARE[type(compare)](left, right)
            if len(node.ops) > 1 and not result:
                break
            left = right
        return result

    def _subscript(self, node: ast.Subscript) -> Any:
        value, index = self.value(node.value), self.value(node.slice)
        if hasattr(value, "ndim") and isinstance(index, tuple):  # of a tensor the channels are chosen, no voxels
            index, others = index[0], index[1:]
            if any(other not in (Ellipsis, slice(None)) for other in others):
                raise self.refused("voxels are chosen by their place, which is not supported")
        elif not hasattr(value, "ndim") and not isinstance(value, Sequence | Mapping):
            raise self.refused(f"a part of '{ast.unparse(node.value)[:60]}' is not known")
        return value[index]

    def _slice(self, node: ast.Slice) -> slice:
        return slice(*(None if part is None else self.value(part) for part in (node.lower, node.upper, node.step)))

    def _listcomp(self, node: ast.ListComp) -> list[Any]:
        return list(self._items(node.generators, lambda: self.value(node.elt)))

    def _dictcomp(self, node: ast.DictComp) -> dict[Any, Any]:
        return dict(self._items(node.generators, lambda: (self.value(node.key), self.value(node.value))))

    def _items(self, loops: Sequence[ast.comprehension], item: Callable[[], Any]) -> list[Any]:
        loop = loops[0]
        if len(loops) > 1 or not isinstance(loop.target, ast.Name):
            raise self.refused("such a comprehension is not known")
        outer, found = self.bound, []
        for value in self.value(loop.iter):
            self.bound = {**outer, loop.target.id: value}
            if all(self.value(condition) for condition in loop.ifs):
                found.append(item())
        self.bound = outer
        return found

    def _lambda(self, node: ast.Lambda) -> Function:
        names, outer = [argument.arg for argument in node.args.args], dict(self.bound)
        constants = (one.value for one in ast.walk(node.body) if isinstance(one, ast.Constant))
        numbers = tuple(one for one in constants if isinstance(one, int | float) and not isinstance(one, bool))

        def call(*values: Any) -> Any:
            self.bound, self.steps = {**outer, **dict(zip(names, values, strict=True))}, 0
            return self.value(node.body)

        return Function(
            self.text, call, tuple(one for one in numbers if isinstance(one, int | float) and not isinstance(one, bool))
        )

    def _call(self, node: ast.Call) -> Any:
        arguments = self._values(node.args)
        words = {word.arg: self.value(word.value) for word in node.keywords if word.arg is not None}
        if len(words) != len(node.keywords):
            raise self.refused("arguments of a call by '**' are not known")
        if isinstance(node.func, ast.Attribute) and self._is_value(node.func.value):
            return self._method(self.value(node.func.value), node.func.attr)
        if isinstance(node.func, ast.Name) and node.func.id.startswith(_STAND_IN):
            component = self.value(node.func)
            if isinstance(component, Component):
                return Called(component)
            raise self.refused(f"'{self.ids[int(node.func.id.removeprefix(_STAND_IN))]}' cannot be called")
        name = self._canonical(self._dotted(node.func))
        if name in ("os.path.exists", "os.path.isfile", "os.path.isdir"):
            return self.exists(str(arguments[0]))
        if name not in known.CALLS:
            raise self.refused(f"the function '{name}' is not known")
        return self._bounded(known.CALLS[name](*arguments, **words))

    def _bounded(self, value: Any) -> Any:
        if isinstance(value, list | tuple | set | range | dict) and len(value) > MAX_ITEMS:
            raise self.refused("a list that is too long", wanted=f"<= {MAX_ITEMS} items")
        return value

    def _is_value(self, node: ast.AST) -> bool:
        """Whether a node is a value, rather than the name of a module."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return not isinstance(node, ast.Name) or node.id in self.bound or node.id.startswith(_STAND_IN)

    def _method(self, value: Any, method: str) -> Any:
        if isinstance(value, Component | TorchScript) and method in known.SAME:
            return value
        if isinstance(value, Component):
            return Called(value, method)
        if isinstance(value, PurePath) and method == "mkdir":
            return None  # results are written where the person says
        if isinstance(value, Name) or not hasattr(value, "ndim") or method not in known.OF_TENSORS:
            raise self.refused(f"the method '{method}' is not known")
        return getattr(value, method)()
