"""A bundle's postprocessing: from the network's output to labels on the scan's grid.

What is done voxel by voxel - activations, decisions, lambdas - runs plane by plane, before and after the way back to
the scan; what looks at whole objects runs on finished labels. `Invertd` stands where the bundle has it: on
probabilities, or on labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from medical.bundle import objects
from medical.bundle.preprocess import part_function
from medical.bundle.transforms import MONAI, array_name, call, check_dtype, flattened, keys_of, one_of, plain_words
from medical.bundle.values import Arguments, Component
from vol3d.errors import CheckpointError
from vol3d.notes import Note

Planes = Callable[[Tensor], Tensor]
"""(channels, a, b) -> (channels, a, b), each voxel for itself."""
Whole = Callable[[Tensor], Tensor]
"""Labels (channels, i, j, k) -> labels."""
Kind = Literal["values", "classes", "bits", "numbers"]

_SOFTENED = Note("bundle-nearest", "the bundle interpolates finished labels; the nearest label was taken instead")
_DECIDED = "the bundle writes the network's output without a decision; {value} was taken"


@dataclass
class Postprocessing:
    """All of it; the steps in the order of their fields.

    Args:
        outputs: channels of the network's output.
        before: voxel by voxel, on the network's grid.
        inverted: where the way back to the scan is: on values, on labels, or nowhere.
        nearest: whether values go back to the nearest voxel rather than by interpolation.
        after: voxel by voxel, after the way back of values.
        whole: on finished labels; None stands for the way back of labels.
        kind: what the labels are: numbers of the outputs, one bit for each output, or other numbers.
        onehot: whether the bundle has the labels one-hot at this point.
        numbers: of kind "numbers", those that may occur.
        meanings: of kind "numbers", pairs of a number and an output that it stands for, as far as that is known.
        notes: what was decided beside the bundle.
        activation: what makes probabilities of the output, before the decision; "other" where they are changed again.
        decision: how many steps of `after` come before the decision; None where it falls on the network's grid.
    """

    outputs: int = 1
    before: list[Planes] = field(default_factory=list)
    inverted: Literal["values", "labels", "nowhere"] = "nowhere"
    nearest: bool = False
    after: list[Planes] = field(default_factory=list)
    whole: list[Whole | None] = field(default_factory=list)
    kind: Kind = "values"
    onehot: bool = False
    numbers: tuple[int, ...] = ()
    meanings: tuple[tuple[int, int], ...] = ()
    notes: tuple[Note, ...] = ()
    activation: Literal["softmax", "sigmoid", "other"] | None = None
    decision: int | None = None

    def decided(self) -> None:
        """The next step takes a decision."""
        if self.kind == "values" and self.inverted == "values":
            self.decision = len(self.after)

    def changed(self) -> None:
        """The next step changes values in another way than an activation does."""
        if self.kind == "values":
            self.activation = "other"

    def probabilities(self, values: Tensor) -> Tensor:
        """Undecided values on the scan's grid, `decision` steps after the way back -> probabilities.

        Logits, which some bundles leave until the decision, become those whose largest is the label. Where the way
        back takes a part from outside of the network's grid, which counts as 0, classes are made to add to 1 again.
        """
        if self.kind == "bits":
            return values
        shares = values.softmax(dim=0) if self.activation is None else values
        total = shares.sum(dim=0, keepdim=True)
        background = torch.zeros_like(shares)
        background[0] = 1
        return torch.where(total > 0, shares / total, background)

    def no_probabilities(self) -> str | None:
        """Why there are none on the scan's grid; None where there are."""
        if self.decision is None:
            return "decides on the network's grid, not on the scan's"
        fitting = {"classes": (None, "softmax"), "bits": ("sigmoid",)}.get(self.kind, ())
        return None if self.activation in fitting else "has no softmax or sigmoid right before its decision"

    def add(self, change: Planes) -> None:
        """The next step that goes voxel by voxel."""
        if self.whole:
            self.whole.append(partial(_by_planes, change))
        else:
            (self.after if self.inverted == "values" else self.before).append(change)

    def add_whole(self, part: Component, change: Whole) -> None:
        """The next step that looks at objects. Raises CheckpointError before there are labels."""
        if self.kind == "values":
            raise part.refused("works on objects, and the network's output is not decided yet")
        self.whole.append(change)


def read_postprocessing(component: Any, preprocessing: Any, outputs: int) -> Postprocessing:
    """The transforms that a configuration describes.

    Args:
        preprocessing: the component that `Invertd` must undo.
        outputs: channels of the network's output.

    Raises:
        CheckpointError: one that is not known, or in an order that has no meaning here.
    """
    post = Postprocessing(outputs)
    for part in flattened(component):
        reader = _READERS.get(array_name(part, MONAI))
        if reader is None:
            raise part.refused("a transform that is not known", got=part.target, do=f"Known: {', '.join(_READERS)}.")
        arguments = Arguments(part)
        if keys_of(arguments) != ("pred",) and part.name not in ("DeleteItemsd", "SelectItemsd"):
            raise part.refused("a transform of other results than 'pred' is not supported", got=part.resolve("keys"))
        arguments.drop("allow_missing_keys", "meta_keys", "meta_key_postfix")
        if reader is _invert:
            arguments.take("transform")
            if part.resolve("transform") is not preprocessing:
                raise part.refused("undoes something else than the preprocessing", got=part.words.get("transform"))
        reader(post, arguments)
        arguments.done()
    _decide(post, outputs)
    return post


def _decide(post: Postprocessing, outputs: int) -> None:
    """Labels, where the bundle leaves the network's output as it is."""
    if post.kind != "values":
        return
    post.decided()
    if outputs > 1:
        post.add(_argmax)
        post.kind, taken = "classes", "the largest of the outputs"
    else:
        post.add(partial(_threshold, threshold=0.5))
        post.kind, taken = "bits", "0.5 as the threshold"
    post.notes += (Note("bundle-decision", _DECIDED, value=taken, assumed=True),)


def _activate(post: Postprocessing, arguments: Arguments) -> None:
    part = arguments.component
    softmax, sigmoid = (one_of(arguments.take(name, False), 1)[0] for name in ("softmax", "sigmoid"))
    arguments.only("other", None)
    arguments.only("dim", 0)
    if post.kind != "values" or (softmax and sigmoid) or not (softmax or sigmoid):
        raise part.refused("wants either softmax or sigmoid, before the decision")
    post.activation = "other" if post.activation else "softmax" if softmax else "sigmoid"
    post.add(partial(torch.softmax, dim=0) if softmax else torch.sigmoid)


def _discretise(post: Postprocessing, arguments: Arguments) -> None:
    part = arguments.component
    argmax, onehot, threshold, rounding = (
        one_of(arguments.take(name), 1)[0] for name in ("argmax", "to_onehot", "threshold", "rounding")
    )
    arguments.only("dim", 0)
    arguments.only("keepdim", True)
    arguments.drop("dtype")
    if argmax and not (post.kind == "classes" and post.onehot):  # one-hot labels become plain again
        _take_largest(post, part)
    if onehot is not None and post.kind != "classes":
        raise part.refused("to_onehot is supported after argmax only", got=onehot)
    # One-hot labels are the same labels in another form; results are written in the plain one.
    post.onehot = onehot is not None
    if threshold is not None:
        _take_above(post, part, threshold)
    if rounding is not None:
        _round(post)


def _take_largest(post: Postprocessing, part: Component) -> None:
    if post.kind not in ("values", "bits"):
        raise part.refused("argmax of labels")
    post.decided()
    post.add(_argmax)
    post.kind = "classes"


def _take_above(post: Postprocessing, part: Component, threshold: Any) -> None:
    if not isinstance(threshold, int | float) or isinstance(threshold, bool):
        raise part.refused("a threshold that is no number", got=threshold)
    if not post.onehot:
        post.decided()
        post.add(partial(_threshold, threshold=float(threshold)))
        post.kind, post.numbers = ("numbers", (1,)) if post.kind in ("classes", "numbers") else ("bits", ())
        post.meanings = ()


def _round(post: Postprocessing) -> None:
    """Of the outputs of a sigmoid that is a decision."""
    decides = post.kind == "values" and post.activation == "sigmoid"
    if decides:
        post.decided()
    else:
        post.changed()
    post.add(torch.round)
    if decides:
        post.kind = "bits"


def _invert(post: Postprocessing, arguments: Arguments) -> None:
    nearest = one_of(arguments.take("nearest_interp", True), 1)[0]
    arguments.drop("orig_keys", "orig_meta_keys", "to_tensor", "device")
    arguments.only("post_func", None)
    if post.inverted != "nowhere":
        raise arguments.component.refused("the way back a second time")
    if post.kind == "values":
        post.inverted, post.nearest = "values", bool(nearest)
        return
    post.inverted = "labels"
    post.whole.append(None)
    post.notes += () if nearest else (_SOFTENED,)


def _mapped(post: Postprocessing, arguments: Arguments) -> None:
    part = arguments.component
    function = arguments.require("func")
    call_ = part_function(part, function)
    arguments.only("track_meta", True, False)
    arguments.drop("inv_func", "overwrite")
    numbers = tuple(sorted({int(one) for one in function.numbers if one == int(one) and one > 0}))

    def change(values: Tensor) -> Tensor:
        found = call(call_, values.float())
        if not isinstance(found, Tensor) or found.ndim != values.ndim or found.shape[1:] != values.shape[1:]:
            raise part.refused("the lambda gives no result of the same size")
        return found

    post.add(change)
    post.changed()
    if post.kind != "values":
        post.kind, post.numbers, post.meanings = "numbers", numbers, ()


def _relabel(post: Postprocessing, arguments: Arguments) -> None:
    """`MapLabelValued`: other numbers in place of some labels, all at once."""
    part = arguments.component
    old, new = (_whole_numbers(part, arguments.require(name)) for name in ("orig_labels", "target_labels"))
    arguments.drop("dtype")
    if post.kind != "classes" or post.onehot or len(old) != len(new):
        raise part.refused("wants labels after argmax, and one number for each", got=(old, new))

    def change(values: Tensor) -> Tensor:
        found = values.long()
        for before, after in zip(old, new, strict=True):
            found = torch.where(values == before, after, found)
        return found

    post.add(change)
    moved = dict(zip(old, new, strict=True))
    post.kind, post.meanings = "numbers", tuple((moved.get(output, output), output) for output in range(post.outputs))
    post.numbers = tuple(sorted({number for number, _ in post.meanings} - {0}))


def _whole_numbers(part: Component, value: Any) -> list[int]:
    numbers = list(value) if isinstance(value, list | tuple) else []
    if not numbers or not all(type(number) is int and number >= 0 for number in numbers):
        raise part.refused("no labels", got=value, wanted="whole numbers")
    return numbers


def _largest(post: Postprocessing, arguments: Arguments) -> None:
    labels, onehot = arguments.take("applied_labels"), one_of(arguments.take("is_onehot"), 1)[0]
    independent, connectivity = arguments.take("independent", True), arguments.take("connectivity")
    count = arguments.take("num_components", 1)
    if onehot and post.kind == "classes":
        onehot = False
    chosen = None if labels is None else tuple(labels) if isinstance(labels, list | tuple) else (labels,)
    change = partial(
        objects.keep_largest, labels=chosen, onehot=onehot, each=independent, connectivity=connectivity, count=count
    )
    post.add_whole(arguments.component, change)


def _small(post: Postprocessing, arguments: Arguments) -> None:
    arguments.only("by_measure", False)
    arguments.drop("pixdim")
    words = plain_words(arguments, "min_size connectivity independent_channels")
    post.add_whole(arguments.component, partial(objects.remove_small, **words))


def _holes(post: Postprocessing, arguments: Arguments) -> None:
    words = plain_words(arguments, "applied_labels connectivity")
    post.add_whole(arguments.component, partial(objects.fill_holes, **words))


def _filter(post: Postprocessing, arguments: Arguments) -> None:
    labels = arguments.require("applied_labels")
    kept = torch.tensor(labels if isinstance(labels, list | tuple) else [labels])
    if post.kind == "values":
        raise arguments.component.refused("chooses among labels, and the network's output is not decided yet")
    post.add(lambda values: torch.where(torch.isin(values.long(), kept.to(values.device)), values, 0))


def _types(post: Postprocessing, arguments: Arguments) -> None:
    """Types, devices and items that are not written: nothing to do."""
    if post.kind == "values":
        check_dtype(arguments)
    arguments.drop("dtype", "data_type", "device", "wrap_sequence", "track_meta", "sep", "use_re", "output_type")


def _save(post: Postprocessing, arguments: Arguments) -> None:
    """vol3d writes the mask itself, on the scan's grid."""
    arguments.only("scale", None)
    arguments.drop("output_dir", "output_postfix", "output_ext", "output_dtype", "resample", "mode", "padding_mode")
    arguments.drop("dtype", "squeeze_end_dims", "data_root_dir", "separate_folder", "print_log", "output_format")
    arguments.drop("writer", "output_name_formatter", "folder_layout", "savepath_in_metadict")


_NOTHING = ("EnsureType", "ToTensor", "CastToType", "ToDevice", "ToNumpy", "Identity", "DeleteItems", "SelectItems")
_READERS: Mapping[str, Callable[[Postprocessing, Arguments], None]] = {
    "Activations": _activate,
    "AsDiscrete": _discretise,
    "Invert": _invert,
    "Lambda": _mapped,
    "KeepLargestConnectedComponent": _largest,
    "MapLabelValue": _relabel,
    "RemoveSmallObjects": _small,
    "FillHoles": _holes,
    "LabelFilter": _filter,
    "SaveImage": _save,
    **dict.fromkeys(_NOTHING, _types),
}


def _argmax(values: Tensor) -> Tensor:
    return values.argmax(dim=0, keepdim=True)


def _threshold(values: Tensor, threshold: float) -> Tensor:
    return values >= threshold


def _by_planes(change: Planes, labels: Tensor) -> Tensor:
    """A change of every voxel for itself, plane by plane: whole volumes of wider numbers are never held."""
    planes = [as_labels(change(labels[:, index])) for index in range(labels.shape[1])]
    return torch.stack(planes, dim=1) if planes else labels


def as_labels(plane: Tensor) -> Tensor:
    """Decided values as small whole numbers, (channels, a, b) uint8 or int16.

    Raises:
        CheckpointError: they are no labels.
    """
    if plane.is_floating_point():
        plane = plane.round()
    if plane.numel() and plane.dtype != torch.bool and not 0 <= float(plane.min()) <= float(plane.max()) <= 32767:
        raise CheckpointError("the bundle's result is no labels", got=f"{float(plane.min())} to {float(plane.max())}")
    wide = plane.dtype != torch.bool and plane.numel() and float(plane.max()) > 255
    return plane.to(torch.int16 if wide else torch.uint8)


def all_of(changes: Sequence[Planes], values: Tensor) -> Tensor:
    """The changes, one after the other."""
    for change in changes:
        values = change(values)
    return values
