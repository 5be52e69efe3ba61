"""An ONNX file and what it says about itself.

All that prediction needs besides the graph, settings, classes, preparation, window, weights that stay outside the
graph, stands in the file's own metadata: a JSON beside it would be lost with the first copy. A SHA-256 over the graph
and that text is in it, so that a changed file is noticed.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vol3d.engine.derived import derived_from
from vol3d.errors import CheckpointError, Vol3dError
from vol3d.files import require_file

if TYPE_CHECKING:
    from onnx import ModelProto

FORMAT = 1
OPSET = 18
"""Of the graphs that are written: the lowest that torch's exporter writes without converting."""
INFO, KEPT = "vol3d", "vol3d.kept"
_EXPORT_AGAIN = "Export the checkpoint again, `vol3d export MODEL -o model.onnx`."


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """A file that was written here, whole and unchanged.

    Args:
        graph: as bytes, which onnxruntime takes.
        info: what a checkpoint says about itself, and under `exported` what was exported how, with the measurements.
        kept: weights outside the graph, a safetensors file as bytes.
    """

    graph: bytes
    info: dict[str, Any]
    kept: bytes


def require_packages(*names: str) -> None:
    """Raises Vol3dError if a package of the extra `onnx` is not installed."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        do = 'Run `pip install "vol3d[onnx]"`.'
        raise Vol3dError(f"ONNX needs the package {' and '.join(missing)}", do=do)


def seal(proto: ModelProto, info: dict[str, Any], kept: bytes) -> bytes:
    """The graph with what it says about itself, as the bytes of a file."""
    del proto.metadata_props[:]
    text = base64.b64encode(kept).decode()
    info = {**info, "sha256": _digest(proto, info, text)}
    for key, value in ((INFO, json.dumps(info, allow_nan=False)), (KEPT, text)):
        proto.metadata_props.add(key=key, value=value)
    return bytes(proto.SerializeToString(deterministic=True))


def read(path: Path) -> OnnxFile:
    """A file that `seal` made.

    Raises:
        CheckpointError: damaged, changed, of another opset or release, or an ONNX file of another program.
        Vol3dError: onnx is not installed.
    """
    require_packages("onnx")
    proto = _parsed(path)
    said = {entry.key: entry.value for entry in proto.metadata_props}
    info, kept = _info(path, said), said.get(KEPT, "")
    _check_opset(path, proto, info)
    del proto.metadata_props[:]
    stated = {key: value for key, value in info.items() if key != "sha256"}
    if info["sha256"] != _digest(proto, stated, kept):
        what = "damaged or changed: the SHA-256 differs from the one it was written with"
        raise CheckpointError(what, where=path, do=_EXPORT_AGAIN)
    return OnnxFile(proto.SerializeToString(deterministic=True), info, base64.b64decode(kept))


def card(path: Path) -> dict[str, Any]:
    """What a file is, see `vol3d.foreign.Card`."""
    info = read(path).info
    settings, exported = info["settings"], info["exported"]
    known = {"weights": str(path), "task": info["task"], "architecture": settings["model"]["name"]}
    known |= {"classes": info["class_names"], "exported from": exported["source"]}
    known |= {key: value for key, value in exported.items() if key not in ("source", "differences")}
    differences = {
        one["on"]: f"{one['largest']:.1e} of outputs up to {one['largest_output']:.3g}"
        for one in exported["differences"]
    }
    known |= {"differences": differences, "licence": info.get("licence")}
    known |= {"trained on": info["data_terms"]} if "data_terms" in info else {}
    known |= {"derived from": list(map(str, derived_from(info))), "attribution": info.get("attribution")}
    return known | {"SHA-256": info["sha256"]}


def _parsed(path: Path) -> ModelProto:
    import onnx

    content = require_file(path, CheckpointError).read_bytes()
    try:
        proto = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own DecodeError stands in no public place
        raise CheckpointError("damaged or no ONNX file", where=path, do=_EXPORT_AGAIN) from error
    outside = [one.name for one in proto.graph.initializer if one.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        what = "weights in other files, which are not read"
        raise CheckpointError(what, where=path, got=outside[0], wanted="one file", do=_EXPORT_AGAIN)
    return proto


def _info(path: Path, said: dict[str, str]) -> dict[str, Any]:
    if INFO not in said:
        what = "an ONNX file without vol3d's metadata: nothing says how scans are prepared and what the classes are"
        raise CheckpointError(what, where=path, wanted=f"metadata '{INFO}'", do=_EXPORT_AGAIN)
    try:
        info: dict[str, Any] = json.loads(said[INFO])
        number, *_ = (info[key] for key in ("format", "sha256", "task", "settings", "class_names", "exported"))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError("damaged: what it says about itself cannot be read", where=path) from error
    if number != FORMAT:
        raise CheckpointError("format of another release", where=path, got=number, wanted=FORMAT, do="Update vol3d.")
    return info


def _check_opset(path: Path, proto: ModelProto, info: dict[str, Any]) -> None:
    found = next((one.version for one in proto.opset_import if one.domain in ("", "ai.onnx")), None)
    if found != (wanted := info["exported"].get("opset")):
        raise CheckpointError("ONNX of another opset", where=path, got=found, wanted=wanted, do=_EXPORT_AGAIN)


def _digest(proto: ModelProto, info: dict[str, Any], kept: str) -> str:
    """Of a graph without metadata, and of what its metadata will say."""
    digest = hashlib.sha256(json.dumps(info, sort_keys=True).encode())
    digest.update(kept.encode())
    digest.update(proto.SerializeToString(deterministic=True))
    return digest.hexdigest()
