"""The interpreter of expressions: what it knows, and that it runs nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from medical.bundle.expression import evaluate
from medical.bundle.values import Function, Name, TorchScript
from vol3d.errors import CheckpointError

ENTRIES = {"a": 3, "b::c": "model", "b::list": [1, 2, 3], "flag": False, "root": "."}


def value(text: str) -> Any:
    return evaluate(text, ENTRIES.__getitem__, lambda path: path == "./there", {"np": "numpy"}, "inference.json: x")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("@a", 3),
        ("@a + 1", 4),
        ("@root + '/models/' + @b#c + '.pt'", "./models/model.pt"),
        ("[1.5, 1.5, 1.5] if @flag else [3.0] * 3", [3.0, 3.0, 3.0]),
        ("not @flag and @a > 2", True),
        ("len(@b::list) * 2 - 1", 5),
        ("@b::list[0]", 1),
        ("@b::list[1:]", [2, 3]),
        ("[i * 2 for i in @b::list if i != 2]", [2, 6]),
        ("{'x': @a, **{'y': 1}}", {"x": 3, "y": 1}),
        ("[*@b::list, 4]", [1, 2, 3, 4]),
        ("{k: 1 for k in ['u', 'v']}", {"u": 1, "v": 1}),
        ("1 < @a <= 3", True),
        ("int(7 // 2) % 2", 1),
        ("-@a", -3),
        ("np.float32", Name("numpy.float32")),
        ("torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')", Name("device")),
        ("os.path.join(@root, 'models', 'model.pt')", "./models/model.pt"),
        ("str(pathlib.Path(@root) / 'models')", "models"),
        ("os.path.exists(@root + '/there')", True),
        ("not os.path.exists('elsewhere')", True),
        ("monai.utils.CommonKeys.IMAGE", "image"),
        ("monai.utils.set_determinism(seed=1)", None),
        ("setattr(torch.backends.cudnn, 'benchmark', True)", None),
        ("torch.jit.load(@root + '/models/model.ts')", TorchScript("./models/model.ts")),
        ("list(range(3)) + list(sorted(set([2, 1])))", [0, 1, 2, 1, 2]),
        ("None", None),
        ("'a@b'[0]", "a"),
    ],
)
def test_what_is_known(text: str, wanted: Any) -> None:
    assert value(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__.__bases__",
        "''.__class__",
        "@a.__class__",
        "@b::c.format(1)",
        "open('x')",
        "eval('1')",
        "getattr(torch, 'load')",
        "setattr(torch, 'load', 1)",
        "os.system('true')",
        "torch.load('x')",
        "torch.hub.load('x', 'y')",
        "scripts.thing(1)",
        "exec",
        "np.fromfile('x')",
        "(lambda: os.system('true'))()",
        "[x for x in ().__class__.__subclasses__()]",
        "9 ** 9 ** 9",
        "'a' * 10 ** 9",
        "[0] * 1000000000",
        "'%s' % @a",
        "list(range(100000000))",
        "[i for i in range(100000)]",
        "1 +",
        "x = 1",
        "(yield 1)",
        "f'{@a}'",
        "1 / 0",
        "'a' + 1",
        "len(1)",
        "@b::list[9]",
        "max(**{'key': 1})",
        "(" * 500 + ")" * 500,
        "1" + " + 1" * 900,
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(CheckpointError) as error:
        value(text)
    assert str(error.value).startswith("inference.json: x: ")


def test_a_function_is_named_where_it_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"'os\.system' is not known.*runs no code"):
        value("os.system('true')")


def test_a_lambda_is_interpreted_on_tensors() -> None:
    function = value("lambda x: torch.where(x[[1]] > 0, 4, torch.where(x[[0]] > 0, 1, 0))")
    assert isinstance(function, Function) and {1, 4} <= set(function.numbers)
    given = torch.tensor([[[1.0, 1.0, -1.0]], [[-1.0, 1.0, -1.0]]])
    assert function.call(given).tolist() == [[[1, 4, 0]]]


@pytest.mark.parametrize(
    "text", ["lambda x: x[:, 0]", "lambda x: x.numpy()", "lambda x: x.__class__", "lambda x: os.x"]
)
def test_a_lambda_may_not_reach_beyond_voxels(text: str) -> None:
    with pytest.raises(CheckpointError):
        value(text).call(torch.zeros(2, 3, 3))
