"""What evaluations say of their numbers: titles as papers have them, and an interval where there is one."""

from __future__ import annotations

import pytest

from pointcloud.evaluation import kitti, nuscenes, scenes
from vol3d.engine.task import Metric


def labels(measured: tuple[Metric, ...]) -> dict[str, str]:
    return {metric.key: metric.label for metric in measured}


@pytest.mark.parametrize("measured", [scenes.MEASURED, kitti.MEASURED, nuscenes.MEASURED])
def test_every_key_has_one_title(measured: tuple[Metric, ...]) -> None:
    assert len(labels(measured)) == len(measured) == len(set(labels(measured).values()))


def test_titles_of_overlaps() -> None:
    titles = labels(scenes.MEASURED)
    assert [titles[key] for key in ("ap25", "ar50", "recall25")] == ["AP25", "AR50", "recall at IoU 0.25"]
    assert [one.key for one in scenes.MEASURED if one.headline] == ["ap25", "ap50"]
    assert [one.interval for one in scenes.MEASURED if one.interval] == ["ap25_interval", "ap50_interval"]


def test_titles_of_kitti_and_nuscenes() -> None:
    titles = labels(kitti.MEASURED) | labels(nuscenes.MEASURED)
    wanted = {
        **{"apbbox_easy": "AP image easy", "apbev_hard": "AP BEV hard", "ap3d_moderate": "AP 3D moderate"},
        **{"ap3d_moderate_r11": "AP 3D moderate R11", "ap3d_moderate_area": "AP 3D moderate area"},
        **{"aos_hard": "AOS hard", "nds": "NDS", "map": "mean AP", "ap_0.5m": "AP at 0.5 m", "ap_4m": "AP at 4 m"},
        **{"ate_m": "ATE (m)", "mase": "mean ASE (1 - IoU)", "maoe_rad": "mean AOE (rad)", "ave_m_s": "AVE (m/s)"},
    }
    assert {key: titles[key] for key in wanted} == wanted
