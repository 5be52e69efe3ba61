"""ONNX files: what is in them, and what is refused; graphs made by hand, since an export takes long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medical.task import SegmentationTask
from vol3d import checkpoint, foreign, load
from vol3d.cli.main import main
from vol3d.errors import CheckpointError, UsageError
from vol3d.exported.card import FORMAT, OPSET, card, read, seal
from vol3d.exported.graph import Graph
from vol3d.exported.lower import lowered

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

WEIGHTS = np.array([[2.0], [-1.0]], np.float32)  # class b where voxels are dark
CPU = torch.device("cpu")


def graph(opset: int = OPSET) -> Any:
    """A 1 x 1 x 1 convolution from one channel to two classes."""
    info, helper = onnx.TensorProto.FLOAT, onnx.helper
    weight = onnx.numpy_helper.from_array(WEIGHTS.reshape(2, 1, 1, 1, 1), "weight")
    made = helper.make_graph(
        [helper.make_node("Conv", ["image", "weight"], ["logits"])],
        "test",
        [helper.make_tensor_value_info("image", info, ["batch", 1, 8, 8, 8])],
        [helper.make_tensor_value_info("logits", info, ["batch", 2, 8, 8, 8])],
        [weight],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


@pytest.fixture
def info(tmp_path: Path) -> dict[str, Any]:
    settings = {
        "model": {"name": "unet"},
        "data": {"name": "folder", "root": str(tmp_path)},
        "window": {"size": (8, 8, 8)},
        "preprocess": {"intensity": {"name": "none"}},
        "class_names": ("background", "b"),
        "channel_names": ("CT",),
    }
    task = SegmentationTask(SegmentationTask.settings_type.model_validate(settings))
    exported = {"opset": OPSET, "dynamic": True, "source": {"name": "x", "sha256": "0"}, "differences": []}
    return {
        "format": FORMAT,
        "task": "segmentation",
        "settings": task.settings.model_dump(mode="json"),
        "class_names": ["background", "b"],
        "exported": exported,
    }


@pytest.fixture
def file(tmp_path: Path, info: dict[str, Any]) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(seal(graph(), info, b"kept"))
    return path


def test_what_was_sealed_is_read(file: Path, info: dict[str, Any]) -> None:
    found = read(file)
    assert found.kept == b"kept"
    assert {key: value for key, value in found.info.items() if key != "sha256"} == info
    assert card(file)["classes"] == ["background", "b"]


@pytest.mark.parametrize("dynamic", [True, False])
def test_a_graph_computes_what_it_says(file: Path, dynamic: bool) -> None:
    image = torch.randn(3, 1, 8, 8, 8)
    (found,) = Graph(read(file).graph, CPU, dynamic, file)(image)
    torch.testing.assert_close(found, image * torch.from_numpy(WEIGHTS).view(1, 2, 1, 1, 1))


def test_it_predicts_like_any_model(tmp_path: Path, info: dict[str, Any]) -> None:
    from safetensors.torch import save

    path = tmp_path / "model.onnx"
    path.write_bytes(seal(graph(), info, save({})))
    model = load(path, "cpu")
    values = np.where(np.arange(10)[:, None, None] < 4, -5, 5) * np.ones((10, 9, 12))
    result = model.predict(values, affine=np.eye(4))
    assert (result.mask == (values < 0)).all()
    assert result.record.model_sha256 == (read(path).info["sha256"],)
    with pytest.raises(UsageError, match="precision of an exported network"):
        load(path, "cpu", {"window.amp": "bf16"})


def rewritten(path: Path, change: Any) -> None:
    proto = onnx.load_model(path)
    change(proto)
    path.write_bytes(proto.SerializeToString())


def raise_a_weight(proto: Any) -> None:
    weight = proto.graph.initializer[0]
    weight.raw_data = (np.frombuffer(weight.raw_data, np.float32) + 1e-3).astype(np.float32).tobytes()


def rename_a_class(proto: Any) -> None:
    for entry in proto.metadata_props:
        entry.value = entry.value.replace('"b"', '"c"')


def other_opset(proto: Any) -> None:
    proto.opset_import[0].version = OPSET - 3


def no_metadata(proto: Any) -> None:
    del proto.metadata_props[:]


def broken_metadata(proto: Any) -> None:
    proto.metadata_props[0].value = "{"


def weights_elsewhere(proto: Any) -> None:
    proto.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (raise_a_weight, "damaged or changed: the SHA-256"),
        (rename_a_class, "damaged or changed: the SHA-256"),
        (other_opset, f"another opset; got {OPSET - 3}, wanted {OPSET}"),
        (no_metadata, "without vol3d's metadata"),
        (broken_metadata, "cannot be read"),
        (weights_elsewhere, "weights in other files"),
    ],
)
def test_what_was_changed_is_refused(file: Path, change: Any, says: str) -> None:
    rewritten(file, change)
    with pytest.raises(CheckpointError, match=says):
        load(file, "cpu")


@pytest.mark.parametrize("content", [b"", b"no ONNX at all", b"\x08\xff\xff"])
def test_what_is_no_onnx_is_refused(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert main(["predict", str(path), str(tmp_path), "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and "model.onnx" in said
    assert not (tmp_path / "out").exists()


def test_a_graph_that_onnxruntime_cannot_run_is_refused(file: Path, info: dict[str, Any]) -> None:
    proto = graph()
    proto.graph.node[0].op_type = "Unheard"
    file.write_bytes(seal(proto, info, b""))
    with pytest.raises(CheckpointError, match="onnxruntime cannot run it"):
        load(file, "cpu")


def test_it_is_no_checkpoint_to_train_from(file: Path) -> None:
    assert foreign.kind_of(file) is not None
    with pytest.raises(UsageError, match="which predicts only"):
        checkpoint.resolve(file)


def test_an_archive_of_torch_export_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(b"PK")
    with pytest.raises(UsageError, match="which other programs run"):
        load(path, "cpu")


def test_half_precision_keeps_float32_at_the_ends() -> None:
    image = torch.randn(2, 1, 8, 8, 8)
    proto = lowered(graph(), "half", "m")
    assert proto.graph.initializer[0].data_type == onnx.TensorProto.FLOAT16
    (found,) = Graph(proto.SerializeToString(), CPU, True, "m")(image)
    wanted = image * torch.from_numpy(WEIGHTS).view(1, 2, 1, 1, 1)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted, rtol=2e-3, atol=2e-3)


def test_int8_quantises_matrix_products_and_refuses_what_has_none() -> None:
    with pytest.raises(UsageError, match="no matrix products"):
        lowered(graph(), "int8", "m")
    kind, helper = onnx.TensorProto.FLOAT, onnx.helper
    matrix = np.random.default_rng(0).normal(size=(32, 8)).astype(np.float32)
    made = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "test",
        [helper.make_tensor_value_info("x", kind, ["batch", 32])],
        [helper.make_tensor_value_info("y", kind, ["batch", 8])],
        [onnx.numpy_helper.from_array(matrix, "w")],
    )
    proto = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    small = lowered(proto, "int8", "m")
    assert any(node.op_type == "MatMulInteger" for node in small.graph.node)
    x = torch.randn(4, 32)
    (found,) = Graph(small.SerializeToString(), CPU, True, "m")(x)
    difference = float((found - x @ torch.from_numpy(matrix)).abs().max())
    assert 0 < difference < 0.3


def test_the_terms_of_the_weights_are_in_the_card(tmp_path: Path, info: dict[str, Any]) -> None:
    origin = {"how": "start_from", "model": "kitti-cars", "licence": "CC-BY-NC-SA 3.0"}
    terms = {"licence": "CC-BY-NC-SA 3.0", "attribution": "A. Person", "derived_from": [origin]}
    (tmp_path / "a.onnx").write_bytes(seal(graph(), info | terms, b""))
    said = card(tmp_path / "a.onnx")
    assert (said["licence"], said["attribution"]) == ("CC-BY-NC-SA 3.0", "A. Person")
    assert said["derived from"] == ["kitti-cars (its first weights; CC-BY-NC-SA 3.0)"]
