"""Plans, old and new; what is not known is refused by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medical.nnunet.plans import Plans, read_plans
from tests.medical.nnunet.made import RESIDUAL, configuration, plans_of
from vol3d.errors import CheckpointError

FILE = Path("plans.json")


def read(changes: dict[str, Any] | None = None, plan: dict[str, Any] | None = None) -> Plans:
    stated = plans_of({"3d_fullres": {**configuration(), **(changes or {})}})
    return read_plans({**stated, **(plan or {})}, FILE, "3d_fullres", 1)


def arguments(**changes: Any) -> dict[str, Any]:
    architecture = configuration()["architecture"]
    return {"architecture": {**architecture, "arch_kwargs": {**architecture["arch_kwargs"], **changes}}}


def test_the_present_form():
    plans = read()
    assert plans.patch == (8, 8, 6) and plans.spacing_mm == (1.0, 1.0, 1.0) and not plans.is_2d
    assert plans.architecture.features == (4, 6) and plans.architecture.strides == ((1, 1, 1), (2, 2, 2))
    assert (plans.data.order, plans.logits.order, plans.orientation) == (3, 1, None)


def test_slices_keep_their_distance():
    plans = read_plans(plans_of({"2d": configuration(2)}), FILE, "2d", 1)
    assert plans.is_2d and plans.patch == (1, 8, 6) and plans.spacing_mm == (None, 1.0, 1.0)


@pytest.mark.parametrize("kind", ["PlainConvUNet", RESIDUAL])
def test_the_form_of_old_plans(kind):
    old = configuration(kind=kind)
    new = read_plans(plans_of({"a": configuration(kind=kind)}), FILE, "a", 1).architecture
    del old["architecture"]
    old |= {"UNet_class_name": kind, "UNet_base_num_features": 4, "unet_max_num_features": 6}
    old |= {"n_conv_per_stage_encoder": [1, 2], "n_conv_per_stage_decoder": [1]}
    old |= {"pool_op_kernel_sizes": [[1, 1, 1], [2, 2, 2]], "conv_kernel_sizes": [[3, 3, 3]] * 2}
    assert read_plans(plans_of({"a": old}), FILE, "a", 1).architecture == new


def test_one_number_stands_for_all_stages():
    assert (
        read(arguments(kernel_sizes=3, n_conv_per_stage=2)).architecture
        == read(arguments(kernel_sizes=[[3, 3, 3]] * 2, n_conv_per_stage=[2, 2])).architecture
    )


def test_a_configuration_inherits():
    stated = plans_of({"a": configuration(), "b": {"inherits_from": "a", "previous_stage": "c"}})
    plans = read_plans(stated, FILE, "b", 1)
    assert plans.previous == "c" and plans.patch == (8, 8, 6)


def test_the_reader_that_turns_axes():
    assert read(plan={"image_reader_writer": "NibabelIOWithReorient"}).orientation == "RAS"


SPLINE = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
UNKNOWN_NETWORK = {"architecture": {"network_class_name": "my.Net", "arch_kwargs": {}}}


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"normalization_schemes": ["MyNormalization"]}, "normalization_schemes.0.*MyNormalization.*ZScore"),
        ({"normalization_schemes": []}, "not one normalisation a channel"),
        ({"preprocessor_name": "MyPreprocessor"}, "preprocessor_name"),
        ({"spacing": [1.0, 1.0]}, "'spacing' and 'patch_size' do not fit"),
        ({"resampling_fn_data": "my_function"}, "'resampling_fn_data' is not known; got my_function"),
        ({"resampling_fn_data_kwargs": {**SPLINE, "sharp": 1}}, "'resampling_fn_data_kwargs' are not known"),
        ({"resampling_fn_probabilities_kwargs": SPLINE}, "'resampling_fn_probabilities_kwargs' are not known"),
        (UNKNOWN_NETWORK, "an unknown network; got my.Net, wanted one of PlainConvUNet"),
        ({"architecture": None}, "an unknown network"),
        (arguments(nonlin="os.system"), "an unknown 'nonlin'; got os.system"),
        (arguments(norm_op="torch.nn.InstanceNorm2d"), "an unknown 'norm_op'"),
        (arguments(attention=True), "unknown arguments of PlainConvUNet; got attention"),
        (arguments(strides=[[1, 1, 1]]), "wrong arguments of PlainConvUNet; got strides"),
        (arguments(features_per_stage=[4, 0]), "wrong arguments of PlainConvUNet; got features_per_stage"),
        ({"inherits_from": "nothing"}, "no such configuration in the plan; got nothing"),
        ({"inherits_from": "3d_fullres"}, "a circle of 'inherits_from'"),
    ],
)
def test_what_is_refused(changes, message):
    with pytest.raises(CheckpointError, match=message):
        read(changes)


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"transpose_forward": [0, 1, 1]}, "'transpose_forward' is no order of axes"),
        ({"image_reader_writer": "NaturalImage2DIO"}, "image_reader_writer.*NaturalImage2DIO.*SimpleITKIO"),
        ({"label_manager": "MyLabels"}, "label_manager"),
        ({"configurations": {}}, "no such configuration in the plan"),
    ],
)
def test_plans_that_are_refused(plan, message):
    with pytest.raises(CheckpointError, match=message):
        read(plan=plan)


@pytest.mark.bad_input
def test_what_is_missing_is_named():
    values = configuration()
    del values["patch_size"]
    with pytest.raises(CheckpointError, match=r"no 'configurations\.a\.patch_size' in the plan"):
        read_plans(plans_of({"a": values}), FILE, "a", 1)
    values = configuration()
    del values["architecture"]
    with pytest.raises(CheckpointError, match="neither 'architecture' nor"):
        read_plans(plans_of({"a": values}), FILE, "a", 1)
    values = {**configuration(), "normalization_schemes": ["CTNormalization"]}
    with pytest.raises(CheckpointError, match="foreground_intensity_properties_per_channel"):
        read_plans(plans_of({"a": values}), FILE, "a", 1)
