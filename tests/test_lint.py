"""Rules of the house that no linter knows: sizes, arrows between packages, and what only one file may do."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("vol3d", "pointcloud", "medical")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MAX_FILE, MAX_FUNCTION = 400, 60

# Elsewhere only the temporary of `with atomic(path) as temporary` is opened for writing.
MAY_WRITE = {"vol3d/files.py"}
ONLY_IN = {
    "torch.load": {"vol3d/checkpoint.py"},
    "torch.save": {"vol3d/engine/resume.py"},
    "pickle.load": set[str](),
    "pickle.loads": set[str](),
    "eval": set[str](),
    "exec": set[str](),
    "os.system": set[str](),
}
NOWHERE = {"extractall", "allow_pickle"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def forbidden(path: Path, tree: ast.AST) -> Iterator[str]:
    temporaries = {
        item.optional_vars.id
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
        for item in node.items
        if "atomic(" in ast.unparse(item.context_expr) and isinstance(item.optional_vars, ast.Name)
    }
    for call in calls(tree):
        called = dotted(call.func)
        here = f"{name(path)}:{call.lineno}"
        if called in ONLY_IN and name(path) not in ONLY_IN[called]:
            yield f"{here} {called}"
        if called.rsplit(".", 1)[-1] in NOWHERE or any(
            word.arg in NOWHERE and not is_false(word) for word in call.keywords
        ):
            yield f"{here} {called}"
        if opens_for_writing(call) and name(path) not in MAY_WRITE and opened(call) not in temporaries:
            yield f"{here} writes a file past vol3d.files.atomic"


def is_false(word: ast.keyword) -> bool:
    return isinstance(word.value, ast.Constant) and word.value.value is False


def opened(call: ast.Call) -> str:
    """The variable whose file is opened: `temporary` in `temporary.open("wb")` and in `open(temporary, "wb")`."""
    return dotted(call.func.value) if isinstance(call.func, ast.Attribute) else dotted(call.args[0])


def opens_for_writing(call: ast.Call) -> bool:
    last = dotted(call.func).rsplit(".", 1)[-1] or (call.func.attr if isinstance(call.func, ast.Attribute) else "")
    if last != "open":
        return False
    words = [*call.args, *(word.value for word in call.keywords if word.arg == "mode")]
    modes = [word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)]
    return any(set(mode) <= set("rwxabt+") and {"w", "b"} <= set(mode) for mode in modes)


def test_dangerous_calls_have_one_place() -> None:
    faults = [fault for path in SOURCES for fault in forbidden(path, ast.parse(path.read_text("utf-8")))]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "code",
    [
        "torch.load('a')",
        "x = eval('1')",
        "archive.extractall('.')",
        "open('a', 'wb')",
        "Path('a').open(mode='w+b')",
        "np.load('a', allow_pickle=True)",
    ],
)
def test_the_lint_itself_sees_them(code: str) -> None:
    assert list(forbidden(ROOT / "vol3d" / "x.py", ast.parse(code)))


def test_files_are_short() -> None:
    long = [f"{name(p)}: {n}" for p in [*SOURCES, *TESTS] if (n := len(p.read_text("utf-8").splitlines())) > MAX_FILE]
    assert not long, f"over {MAX_FILE} lines: {long}"


def test_functions_are_short() -> None:
    long = [
        f"{name(path)}:{node.lineno} {node.name} {body_lines(node)}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and body_lines(node) > MAX_FUNCTION
    ]
    assert not long, f"over {MAX_FUNCTION} lines: {long}"


def body_lines(node: ast.FunctionDef) -> int:
    """Lines from the first statement on: a command's options and its help are no code."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def imported(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, int]]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno


def test_the_foundation_knows_no_problem_and_the_problems_not_each_other() -> None:
    # The foundation may name a problem inside a function (the front door does), never where it is imported itself.
    allowed = {"vol3d": {"vol3d"}, "medical": {"vol3d", "medical"}, "pointcloud": {"vol3d", "pointcloud"}}
    faults = []
    for path in SOURCES:
        package, tree = name(path).split("/")[0], ast.parse(path.read_text("utf-8"))
        for module, line in imported(tree.body if package == "vol3d" else ast.walk(tree)):
            root = module.split(".")[0]
            if root in {*PACKAGES, "tests"} - allowed[package]:
                faults.append(f"{name(path)}:{line} imports {module}")
    assert not faults, "\n".join(faults)


def test_everything_says_what_it_is() -> None:
    faults = [f"{name(p)} has no docstring" for p in SOURCES if p.stat().st_size and not has_docstring(p)]
    assert not faults, "\n".join(faults)


def has_docstring(path: Path) -> bool:
    return bool(ast.get_docstring(ast.parse(path.read_text("utf-8"))))


def test_public_functions_are_typed_and_documented() -> None:
    faults = []
    for path in SOURCES:
        for node in ast.parse(path.read_text("utf-8")).body:
            if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name.startswith("_") or is_compiled(node):
                continue
            if not ast.get_docstring(node):
                faults.append(f"{name(path)}:{node.lineno} {node.name} has no docstring")
            if isinstance(node, ast.FunctionDef) and (untyped(node) or node.returns is None):
                faults.append(f"{name(path)}:{node.lineno} {node.name} has no type for {untyped(node) or 'its result'}")
    assert not faults, "\n".join(faults)


def untyped(node: ast.FunctionDef) -> list[str]:
    return [arg.arg for arg in [*node.args.args, *node.args.kwonlyargs] if arg.annotation is None]


def is_compiled(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Numba and Triton kernels: their arguments' types are the compiler's business."""
    return any("jit" in ast.unparse(decorator) for decorator in node.decorator_list)


def test_no_path_of_a_machine() -> None:
    folders = ("/" + "work/", "/" + "root/", "/" + "home/")
    files = [*SOURCES, *TESTS, *(ROOT / "configs").rglob("*.yaml"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    faults = [f"{name(path)}: {folder}" for path in files for folder in folders if folder in path.read_text("utf-8")]
    assert not faults, "\n".join(faults)
