"""What a bundle's files may be, and one clear error for each that vol3d does not run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import vol3d
from medical.bundle.document import read_bundle
from medical.bundle.resolver import Resolver
from medical.bundle.task import Bundle, BundleTask
from medical.bundle.values import Component
from medical.bundle.workflow import read_workflow
from tests.medical.bundle.maker import ARGMAX, INVERT, LOAD, SOFTMAX, UNET, WINDOWS, config, metadata, write_bundle
from vol3d.errors import CheckpointError, UsageError
from vol3d.model import Model


def resolver(tmp_path: Path, **entries: Any) -> Resolver:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "inference.json").write_text(json.dumps(entries))
    return Resolver(read_bundle(tmp_path))


def test_references_old_and_new_relative_and_in_lists(tmp_path: Path) -> None:
    found = resolver(
        tmp_path, a={"b": [1, {"c": "@#d", "d": "@a::b::0"}]}, e="@a#b#1#c", f="%a::b", g=["@e", "$@e + 1"], h="x@e"
    )
    assert found.value("e") == 1 and found.value("g") == [1, 2] and found.value("h") == "x@e"
    assert found.value("f") == [1, {"c": 1, "d": 1}]


def test_a_part_is_one_object_and_its_arguments_are_read_on_demand(tmp_path: Path) -> None:
    part = {"_target_": "Thing", "bad": "$nothing.of_the_kind()", "good": "@x"}
    found = resolver(tmp_path, x=2, part=part, other="@part", off={"_target_": "Thing", "_disabled_": "$1 > 0"})
    assert found.value("part") is found.value("other")
    assert isinstance(found.value("part"), Component) and found.value("part").resolve("good") == 2
    assert found.value("off") is None
    with pytest.raises(CheckpointError, match="part::bad"):
        found.value("part").resolve("bad")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"x": "@y", "y": "@x"}, "references in a circle"),
        ({"x": "@z"}, "there is no entry 'z'"),
        ({"x": "@::::::y"}, "leads above"),
        ({"imports": ["$import scripts"], "x": 1}, "code of its own; got scripts"),
        ({"imports": ["$from scripts.nets import Net"], "x": 1}, "code of its own"),
        ({"imports": ["$os.system('true')"], "x": 1}, "not understood"),
        ({"x": "%../../elsewhere.json::y"}, "outside of the bundle"),
        ({"x": {"_target_": "$@y.z", "y": 1}, "y": 1}, "unusual way"),
        ({"x": {"_target_": "Thing", "_mode_": "debug"}}, "unusual way"),
    ],
)
def test_what_cannot_be_resolved(tmp_path: Path, entries: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        resolver(tmp_path, **entries).value("x")


def test_yaml_is_read_in_the_same_sense(tmp_path: Path) -> None:
    root = write_bundle(tmp_path / "bundle", config())
    file = root / "configs" / "inference.json"
    first = read_workflow(read_bundle(root))
    file.with_suffix(".yaml").write_text(yaml.safe_dump(json.loads(file.read_text())))
    file.unlink()
    second = read_workflow(read_bundle(root))
    assert second.inferer == first.inferer and second.weights == first.weights
    assert [name for name, _ in second.preprocessing.actions] == [name for name, _ in first.preprocessing.actions]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("inference.json", "{", "not JSON"),
        ("inference.json", "[]", "not a mapping"),
        ("inference.json", '{"a": 1, "a": 2}', "there twice"),
        ("inference.yaml", "a: 1\na: 2\n", "there twice"),
        ("inference.yaml", "a: !!python/object/apply:os.system ['true']\n", "not YAML"),
        ("inference.yaml", "a: [1, 2\n", "not YAML"),
        ("train.json", "{}", "without that configuration; got train"),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / name).write_text(text)
    with pytest.raises(CheckpointError, match=message):
        read_bundle(tmp_path)


def test_anchors_that_multiply_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "inference.yaml").write_text("\n".join(lines))
    with pytest.raises(CheckpointError, match="too many"):
        read_bundle(tmp_path)


def refusal(tmp_path: Path, doc: dict[str, Any]) -> str:
    root = write_bundle(tmp_path / "bundle", {**config(), "network_def": UNET})
    (root / "configs" / "inference.json").write_text(json.dumps(doc))
    with pytest.raises(CheckpointError) as error:
        vol3d.load(root, "cpu")
    return str(error.value)


RELABEL = {"_target_": "MapLabelValued", "keys": "pred", "orig_labels": [1], "target_labels": [2]}
OWN = {"_target_": "scripts.nets.Net", "in_channels": 1, "out_channels": 2}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "network of its own": (config(network=OWN), "network that is not known; got scripts.nets.Net"),
    "unknown network": (config(network={**UNET, "_target_": "DiNTS"}), "network that is not known; got DiNTS"),
    "network elsewhere": (config(network={**UNET, "_target_": "os.UNet"}), "got os.UNet"),
    "argument of a network": (config(network={**UNET, "wings": 2}), "MONAI does not take these arguments"),
    "transform": (
        config([*LOAD, {"_target_": "RandFlipd", "keys": "image"}]),
        "RandFlipd: a transform that is not known",
    ),
    "transform of its own": (config([*LOAD, {"_target_": "scripts.X", "keys": "image"}]), "got scripts.X"),
    "argument of a transform": (
        config([*LOAD, {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS", "magic": 1}]),
        "Orientationd: an argument that is not supported; got magic",
    ),
    "cubic": (config([*LOAD, {"_target_": "Spacingd", "keys": "image", "pixdim": 1, "mode": 3}]), "interpolation"),
    "lazy": (config([*LOAD, {"_target_": "Flipd", "keys": "image", "lazy": True}]), "lazy of this value"),
    "nothing loaded": (config([SOFTMAX]), "a transform that is not known"),
    "postprocessing": (config(post=[{"_target_": "VoteEnsembled", "keys": "pred"}]), "VoteEnsembled"),
    "numbers for no labels": (config(post=[SOFTMAX, INVERT, RELABEL]), "wants labels after argmax"),
    "other labels than numbers": (config(post=[SOFTMAX, ARGMAX, {**RELABEL, "target_labels": ["a"]}]), "no labels"),
    "copies without names": (config([*LOAD, {"_target_": "CopyItemsd", "keys": "image", "names": []}]), "names"),
    "another inverse": (config(post=[SOFTMAX, {**INVERT, "transform": {"_target_": "Compose"}}]), "something else"),
    "inferer": (config(inferer={"_target_": "SaliencyInferer"}), "inferer that is not known"),
    "overlap by axis": (config(inferer={**WINDOWS, "overlap": [0.5, 0.5, 0.1]}), "overlap that is not supported"),
    "evaluator": (config(evaluator={"_target_": "scripts.Evaluator"}), "a class of monai.engines"),
    "step": (config(initialize=["$scripts.patch()"]), "'scripts.patch' is not known"),
    "run": (config(run=["$@evaluator.run()", "$@checkpointloader(@evaluator)"]), "does not run one evaluator"),
    "handler": (config(handlers=[{"_target_": "scripts.Handler"}]), "a class of monai.handlers"),
    "outside": (
        config(
            checkpointloader={"_target_": "CheckpointLoader", "load_path": "/etc/x.pt", "load_dict": {"m": "@network"}}
        ),
        "outside of the bundle",
    ),
    "no workflow": ({"imports": []}, "describes no workflow"),
    "TorchScript": (
        {**config(), "network_def": "$torch.jit.load(@bundle_root + '/models/model.ts')"},
        "the network is a TorchScript program",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_a_bundle_asks_beyond_known_parts_is_refused_by_name(tmp_path: Path, name: str) -> None:
    doc, message = BAD[name]
    text = refusal(tmp_path, doc)
    assert message in text and "inference.json" in text


def test_weights_of_another_network(tmp_path: Path) -> None:
    assert "weights of another model; " in str(refusal_of_weights(tmp_path, torch.nn.Linear(2, 2).state_dict()))


def test_weights_that_ask_for_code(tmp_path: Path) -> None:
    assert "asks for code to be run" in refusal_of_weights(tmp_path, {"model": Evil()})


def test_torchscript_in_place_of_weights(tmp_path: Path) -> None:
    root = write_bundle(tmp_path / "bundle", config())
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), root / "models" / "model.pt")
    with pytest.raises(CheckpointError, match="a TorchScript program, not weights"):
        vol3d.load(root, "cpu")


def task_of(model: Model) -> BundleTask:
    assert isinstance(model.task, BundleTask)
    return model.task


def bundle_of(root: Path) -> Bundle:
    return task_of(vol3d.load(root, "cpu")).bundle


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("code of a bundle",)


def refusal_of_weights(tmp_path: Path, document: Any) -> str:
    root = write_bundle(tmp_path / "bundle", config())
    torch.save(document, root / "models" / "model.pt")
    with pytest.raises(CheckpointError) as error:
        vol3d.load(root, "cpu")
    return str(error.value)


def test_no_weights(tmp_path: Path) -> None:
    root = write_bundle(tmp_path / "bundle", config())
    (root / "models" / "model.pt").unlink()
    with pytest.raises(CheckpointError, match="the bundle has no weights"):
        vol3d.load(root, "cpu")


def test_a_bundle_without_configurations(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    torch.save({}, tmp_path / "models" / "model.pt")
    with pytest.raises(CheckpointError, match="without that configuration; got no configuration"):
        vol3d.load(tmp_path, "cpu")


def test_the_root_is_where_the_folder_is(tmp_path: Path) -> None:
    root = write_bundle(tmp_path / "bundle", config(bundle_root="/workspace/of/its/authors"))
    assert bundle_of(root).workflow.weights == root / "models" / "model.pt"


def test_weights_under_a_key_and_of_a_parallel_training(tmp_path: Path) -> None:
    root = write_bundle(tmp_path / "bundle", config())
    file = root / "models" / "model.pt"
    state = torch.load(file, weights_only=True)
    torch.save({"model": {f"module.{name}": tensor for name, tensor in state.items()}, "epoch": 3}, file)
    loaded = vol3d.load(root, "cpu").models[0].state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_a_loader_among_the_handlers_and_none_at_all(tmp_path: Path) -> None:
    doc = config(initialize=["$monai.utils.set_determinism(seed=1)"])
    root = write_bundle(tmp_path / "none", doc)
    assert [note.code for note in bundle_of(root).notes] == ["bundle-weights"]
    doc["handlers"] = ["@checkpointloader"]
    root = write_bundle(tmp_path / "handler", doc)
    assert bundle_of(root).notes == ()


def test_classes_are_numbered_where_the_metadata_name_none(tmp_path: Path) -> None:
    root = write_bundle(tmp_path / "bundle", config())
    said = metadata()
    del said["network_data_format"]["outputs"]["pred"]["channel_def"]
    (root / "configs" / "metadata.json").write_text(json.dumps(said))
    model = vol3d.load(root, "cpu")
    assert model.class_names == ("background", "class 1", "class 2")
    assert [note.code for note in task_of(model).bundle.notes] == ["bundle-classes"]
    (root / "configs" / "metadata.json").unlink()
    assert vol3d.load(root, "cpu").class_names == ("background", "class 1", "class 2")


def test_labels_with_other_numbers_keep_their_names(tmp_path: Path) -> None:
    post = [SOFTMAX, INVERT, ARGMAX, {**RELABEL, "orig_labels": [1], "target_labels": [4]}]
    model = vol3d.load(write_bundle(tmp_path / "bundle", config(post=post)), "cpu")
    assert model.class_names == ("background", "label 1", "spleen", "label 3", "liver")


def test_settings(tmp_path: Path) -> None:
    root = write_bundle(tmp_path / "bundle", config())
    model = vol3d.load(root, "cpu", {"entries.inferer::overlap": 0.25})
    assert task_of(model).bundle.workflow.inferer.overlap == 0.25
    assert model.record.settings == {"entries.inferer::overlap": 0.25}
    with pytest.raises(UsageError, match="no such entry"):
        vol3d.load(root, "cpu", {"entries.nothing::there": 0.25})
    with pytest.raises(CheckpointError, match="without that configuration"):
        vol3d.load(root, "cpu", {"config": "evaluate"})
