"""The inference workflow that a bundle's configuration describes, as far as it decides about a mask.

`run` names the evaluator; the evaluator names network, preprocessing (through its loader and data set), inferer and
postprocessing; a `CheckpointLoader` names the weights. Lists of files, output folders, devices, logs and metrics are
not looked at: scans and results are the person's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medical.bundle.document import Document
from medical.bundle.inferer import Inferer, read_inferer
from medical.bundle.network import require_known, size
from medical.bundle.postprocess import Postprocessing, read_postprocessing
from medical.bundle.preprocess import Preprocessing, read_preprocessing
from medical.bundle.resolver import Resolver
from medical.bundle.transforms import require_package
from medical.bundle.values import CODE, Arguments, Called, Component, TorchScript, path_within
from vol3d.errors import CheckpointError
from vol3d.notes import Note

_DATASETS = frozenset({"Dataset", "CacheDataset", "PersistentDataset", "CacheNTransDataset", "LMDBDataset"})
_LOADERS = frozenset({"DataLoader", "ThreadDataLoader"})
_HANDLERS = frozenset({"StatsHandler", "TensorBoardStatsHandler", "LogfileHandler", "GarbageCollector", "MetricsSaver"})


@dataclass(frozen=True, eq=False)
class Workflow:
    """What decides about a mask.

    Args:
        network: its description.
        weights: the file.
        key: under which the file may hold them.
        amp: whether the bundle asks for float16 on a GPU.
        notes: what was assumed about the bundle, whatever the scan.
    """

    preprocessing: Preprocessing
    network: Component
    weights: Path
    key: str
    inferer: Inferer
    postprocessing: Postprocessing
    amp: bool
    notes: tuple[Note, ...]

    @property
    def inputs(self) -> int:
        """Channels of the network's input."""
        return size(self.network, "in_channels")

    @property
    def outputs(self) -> int:
        """Channels of its output."""
        return size(self.network, "out_channels")


def read_workflow(document: Document) -> Workflow:
    """The workflow of a configuration.

    Raises:
        CheckpointError: no such workflow, or one that asks for what is not known.
    """
    resolver = Resolver(document)
    evaluator = _evaluator(resolver, document)
    arguments = Arguments(evaluator)
    network, script = _network(arguments.require("network"), resolver, evaluator)
    require_known(network)
    transform = _transform(arguments.require("val_data_loader"))
    preprocessing = read_preprocessing(transform)
    inferer = read_inferer(arguments.take("inferer"), size(network, "spatial_dims"))
    outputs = size(network, "out_channels")
    post = read_postprocessing(arguments.take("postprocessing"), transform, outputs)
    amp = bool(arguments.take("amp", False))
    loader = _check_handlers(arguments.take("val_handlers"))
    for word in ("prepare_batch", "iteration_update", "amp_kwargs", "compile_kwargs", "event_names", "event_to_attr"):
        arguments.only(word, None)
    arguments.only("mode", "eval")
    arguments.only("decollate", True)
    arguments.drop("device", "epoch_length", "non_blocking", "key_val_metric", "additional_metrics", "metric_cmp_fn")
    arguments.drop("to_kwargs", "compile")
    arguments.done()
    weights, key, notes = _weights(_initialized(resolver, document) or loader, network, document, script)
    return Workflow(preprocessing, network, weights, key, inferer, post, amp, (*notes, *post.notes))


def _evaluator(resolver: Resolver, document: Document) -> Component:
    """The component that the workflow runs."""
    ways = [way for way in ("run", "evaluator") if resolver.has(way)]
    if not ways:
        wanted = "'run', or an 'evaluator'"
        raise CheckpointError("the configuration describes no workflow", where=document.place(""), wanted=wanted)
    runs = resolver.value(ways[0])
    steps = [one for one in (runs if isinstance(runs, list) else [runs]) if one is not None]
    found = steps[0] if len(steps) == 1 else None
    found = found.component if isinstance(found, Called) and found.method == "run" else found
    if not isinstance(found, Component):
        where, wanted = document.place(ways[0]), "@evaluator.run() alone"
        raise CheckpointError("a workflow that does not run one evaluator", where=where, wanted=wanted, do=CODE)
    require_package(found, "monai.engines")
    if found.name != "SupervisedEvaluator":
        raise found.refused("an evaluator that is not known", got=found.target, wanted="SupervisedEvaluator", do=CODE)
    return found


def _network(value: Any, resolver: Resolver, evaluator: Component) -> tuple[Component, bool]:
    """The network, and whether the bundle itself would run a TorchScript program in its place."""
    if isinstance(value, TorchScript) and resolver.has("network_def"):
        definition = resolver.value("network_def")
        if isinstance(definition, Component):
            return definition, True
    if isinstance(value, TorchScript):
        do = "TorchScript is a program, and vol3d runs no code of a bundle. Give a network_def and its weights."
        raise evaluator.refused("the network is a TorchScript program", got=value.path, do=do)
    if not isinstance(value, Component):
        raise evaluator.refused("no network", got=value, do=CODE)
    return value, False


def _transform(loader: Any) -> Any:
    """The preprocessing, through the data loader and the data set."""
    for known, name in ((_LOADERS, "dataset"), (_DATASETS, "transform")):
        if not isinstance(loader, Component):
            raise CheckpointError("no data loader with a data set", got=loader, do=CODE)
        require_package(loader, "monai.data")
        if loader.name not in known:
            raise loader.refused("a data loader or data set that is not known", got=loader.target, do=CODE)
        if name not in loader.words:
            raise loader.refused(f"has no argument '{name}'")
        loader = loader.resolve(name)
    if not isinstance(loader, Component | list):
        raise CheckpointError("no preprocessing", got=loader, wanted="Compose, or a list of transforms")
    return loader


def _check_handlers(handlers: Any) -> Component | None:
    """The loader of weights among the handlers, if there is one."""
    found = None
    for handler in handlers if isinstance(handlers, list) else [handlers]:
        if handler is None:
            continue
        if not isinstance(handler, Component):
            raise CheckpointError("no handler", got=handler, do=CODE)
        require_package(handler, "monai.handlers")
        if handler.name == "CheckpointLoader":
            found = handler
        elif handler.name not in _HANDLERS:
            raise handler.refused("a handler that is not known", got=handler.target, do=CODE)
    return found


def _initialized(resolver: Resolver, document: Document) -> Component | None:
    """The loader of weights that is called in `initialize`, if there is one."""
    found = None
    steps = resolver.value("initialize") if resolver.has("initialize") else None
    for number, step in enumerate(steps if isinstance(steps, list) else [steps]):
        if step is None:
            continue
        if not isinstance(step, Called) or step.method is not None or step.component.name != "CheckpointLoader":
            where = document.place(f"initialize::{number}")
            raise CheckpointError(
                "a step that is not known", where=where, got=getattr(step, "component", step), do=CODE
            )
        require_package(step.component, "monai.handlers")
        found = step.component
    return found


def _weights(
    loader: Component | None, network: Component, document: Document, script: bool
) -> tuple[Path, str, tuple[Note, ...]]:
    """The file of weights, the key in it, and what was assumed."""
    usual = document.root / "models" / "model.pt"
    if loader is None:
        if not usual.is_file():
            what = "TorchScript without weights" if script else "the workflow loads no weights"
            do = "vol3d runs no TorchScript; it needs weights that a CheckpointLoader loads, or models/model.pt."
            raise CheckpointError(what, where=document.file, wanted="models/model.pt", do=do)
        text = "the workflow runs a TorchScript program; network_def was taken with {value}"
        text = text if script else "the workflow loads no weights; {value} was taken"
        return usual, "model", (Note("bundle-weights", text, value="models/model.pt", assumed=True),)
    arguments = Arguments(loader)
    path = path_within(document.root, str(arguments.require("load_path")), loader.where)
    objects = arguments.require("load_dict")
    arguments.drop("map_location", "name", "strict", "strict_shape")  # every tensor must fit in any case
    arguments.done()
    if not isinstance(objects, dict) or len(objects) != 1 or next(iter(objects.values())) is not network:
        raise loader.refused("loads something else than the network", got=loader.words.get("load_dict"))
    if not path.is_file():
        do = "Download the weights, or complete the bundle."
        raise CheckpointError("the bundle has no weights", where=document.root, wanted=path, do=do)
    return path, str(next(iter(objects))), ()
