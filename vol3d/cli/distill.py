"""`vol3d distill`: a student's recipe and its teacher."""

from __future__ import annotations

from vol3d.cli.options import Behind, Device, Json
from vol3d.cli.train import (
    Config,
    DryRun,
    Jobs,
    Out,
    Overfit,
    Overrides,
    Seeds,
    default_folder,
    require_seeds,
    run,
    with_background,
)
from vol3d.errors import UsageError
from vol3d.output import require_output


def distill(
    config: Config,
    overrides: Overrides = None,
    out: Out = None,
    seeds: Seeds = None,
    jobs: Jobs = 1,
    dry_run: DryRun = False,
    overfit: Overfit = None,
    background: Behind = "dark",
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Train a detector with a trained one as its teacher. The same command again resumes.

    The configuration is the student's recipe plus a `distill` block with a `teacher` and a `method`.
    The result is an ordinary model of the student's recipe and does not need the teacher.

    [bold]Examples[/bold]

      vol3d distill object_dgcnn_pillars_drives_small data=DATA/drives distill.teacher=runs/voxels
      vol3d distill my.yaml distill.teacher=runs/voxels distill.method=features -o runs/rival
      vol3d distill my.yaml data.sweeps=1 distill.teacher=runs/dense distill.teacher_sees.sweeps=10 --seeds 3
    """
    if sum([bool(seeds), dry_run, overfit is not None]) > 1:
        raise UsageError("choose one of --seeds, --dry-run and --overfit")
    require_seeds(seeds, jobs)
    from vol3d.config import load_distillation

    words, folder = with_background(overrides, background), out or default_folder(config)
    if not dry_run:
        require_output(folder)
    run(load_distillation, config, words, folder, seeds, jobs, dry_run, overfit, device, as_json)
