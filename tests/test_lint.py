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
MAX_FILE, MAX_FUNCTION, MAX_COMPLEXITY = 400, 60, 12
BRANCHES = (ast.If, ast.For, ast.While, ast.IfExp, ast.ExceptHandler, ast.comprehension, ast.Assert, ast.match_case)

# Elsewhere only the temporary of `with atomic(path) as temporary` is opened for writing; a download grows in its part.
MAY_WRITE = {"vol3d/files.py", "vol3d/released/download.py"}
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


def test_functions_are_simple() -> None:
    complex_ = [
        f"{name(path)}:{node.lineno} {node.name} {ways}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef) and not is_compiled(node) and (ways := complexity(node)) > MAX_COMPLEXITY
    ]
    assert not complex_, f"cyclomatic complexity over {MAX_COMPLEXITY}: {complex_}"


def complexity(function: ast.AST) -> int:
    """Ways through a function: comprehensions and conditional expressions count, functions inside do not."""
    ways, rest = 1, list(ast.iter_child_nodes(function))
    while rest:
        node = rest.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        ways += isinstance(node, BRANCHES)
        ways += len(node.values) - 1 if isinstance(node, ast.BoolOp) else 0
        ways += len(node.ifs) if isinstance(node, ast.comprehension) else 0
        rest += ast.iter_child_nodes(node)
    return ways


def body_lines(node: ast.FunctionDef) -> int:
    """Lines from the first statement on: a command's options and its help are no code."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def imported(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, int]]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from ((module if is_module(module) else node.module, node.lineno) for module in below)


FAMILIES = {path.parent.name for path in (ROOT / "pointcloud" / "models").glob("*/*.py")} - {"layers", "released"}
ROOMS = {
    "vol3d.scans": {"child": set(), "paths": set(), "points": {"child", "paths"}, "volumes": {"paths"}}
    | {"recordings": {"paths", "points"}}
    | {"dicom": {"child", "paths", "results", "volumes"}, "results": {"paths", "points"}, "source": set()}
    | {"find": {"dicom", "paths", "results", "source"}, "write": {"dicom", "results", "volumes"}}
    | {
        "digest": {"dicom", "read", "recordings", "results", "source", "volumes"},
        "read": {"dicom", "paths", "volumes"},
    },
    "vol3d.view": {"theme": set(), "scene": {"theme"}, "load": {"scene", "theme"}, "draw": {"scene", "theme"}}
    | {"window": {"draw", "scene", "theme"}, "page": {"draw", "scene", "theme"}},
    "medical": {
        "datasets": set(),
        "models": set(),
        "results": set(),
        "masks": {"datasets"},
        "planning": {"datasets", "models"},
    }
    | {"nnunet": {"models", "results"}, "bundle": {"results"}, "unlabelled": {"datasets"}},
    "pointcloud": {"structures": set(), "conventions": set(), "datasets": set(), "metrics": set(), "models": set()}
    | {"training": {"datasets"}, "inference": {"models"}, "evaluation": {"metrics", "datasets"}}
    | {"tasks": {"inference", "evaluation", "training", "models", "datasets"}, "distill": {"tasks", "models"}}
    | {"generate": {"datasets", "metrics"}, "exchange": {"datasets"}},
    "pointcloud.models": {"layers": set(), "released": {"layers", *FAMILIES}}
    | {family: {"layers"} for family in FAMILIES},
    "pointcloud.generate": {
        "folders": set(),
        "rooms": {"folders"},
        "frames": {"folders", "rooms"},
        "drives": {"folders", "streets"},
        "streets": set(),
        "kitti": {"folders", "streets"},
    },
}
"""Which room of a package may import which; a room that is not here must not exist."""
FOR_ALL = {"pointcloud": {"structures", "conventions"}}


def test_the_foundation_knows_no_problem_and_the_problems_not_each_other() -> None:
    allowed = {"vol3d": {"vol3d"}, "medical": {"vol3d", "medical"}, "pointcloud": {"vol3d", "pointcloud"}}
    faults = [
        f"{name(path)}:{line} imports {module}"
        for path in SOURCES
        for module, line in imported(ast.walk(ast.parse(path.read_text("utf-8"))))
        if module.split(".")[0] in {*PACKAGES, "tests"} - allowed[name(path).split("/")[0]]
    ]
    assert not faults, "\n".join(faults)


CATALOGUES = ("vol3d/catalog.py", "vol3d/released/readers.py")


def test_only_the_catalogue_names_modules_in_strings() -> None:
    faults = [
        f"{name(path)}:{node.lineno} names {node.value}"
        for path in SOURCES
        if name(path) not in CATALOGUES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and names_a_module(path, node.value)
    ]
    assert not faults, "\n".join(faults)


def names_a_module(path: Path, text: str) -> bool:
    """Whether the text is the dotted name of a module of another package, with or without an attribute."""
    module = text.split(":")[0]
    other = module.split(".")[0] in set(PACKAGES) - {name(path).split("/")[0]}
    return other and "." in module and is_module(module)


def is_module(dotted_name: str) -> bool:
    path = ROOT / Path(*dotted_name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_downwards_only(package: str) -> None:
    table = ROOMS[package]
    folder = ROOT / Path(*package.split("."))
    faults = []
    for path in sorted(folder.rglob("*.py")):
        here = room_of(name(path).removesuffix(".py").replace("/", "."), package)
        for module, line in imported(ast.walk(ast.parse(path.read_text("utf-8")))):
            there = room_of(module, package)
            if here and there and here != there and there not in table.get(here, set()) | FOR_ALL.get(package, set()):
                faults.append(f"{name(path)}:{line} {here} imports {there}")
    assert not faults, "\n".join(faults)
    rooms = {path.stem for path in folder.iterdir() if path.is_dir() and list(path.glob("*.py"))}
    assert rooms <= set(table), "a room without a line in the table"


def room_of(module: str, package: str) -> str | None:
    """`training` of `pointcloud.training.paste`; None for what lies elsewhere or directly in the package."""
    rest = module.removeprefix(f"{package}.") if module.startswith(f"{package}.") else ""
    room = rest.split(".")[0]
    return room if room in ROOMS[package] or (ROOT / Path(*package.split("."), room)).is_dir() else None


def test_few_files_lie_outside_of_pointclouds_rooms() -> None:
    assert len(list((ROOT / "pointcloud").glob("*.py"))) <= 3


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
