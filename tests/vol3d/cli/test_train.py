"""Training by command: a run, the same command again, seeds, folds, a dry run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.vol3d.cli.toy import toy  # noqa: F401 (a fixture)
from vol3d.cli.main import main
from vol3d.cli.verdict import rows, verdict

WORDS = ["toy.yaml", "train.epochs=1", "--device", "cpu"]


def test_a_run_and_the_same_command_again(toy: Path, capsys):  # noqa: F811
    assert main(["train", *WORDS]) == 0
    assert "report: runs/toy/report.html" in capsys.readouterr().err
    assert "mean Dice" in Path("runs/toy/report.html").read_text()
    assert main(["train", *WORDS]) == 0
    assert "nothing to do" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(toy: Path, capsys):  # noqa: F811
    assert main(["train", *WORDS, "--dry-run", "-o", "dry"]) == 0
    assert not Path("dry").exists()
    said = capsys.readouterr().out
    assert "parameters" in said and re.search(r"loss: \w+ +\d", said), "each term of the loss has a line"


def test_overfit(toy: Path):  # noqa: F811
    assert main(["train", *WORDS, "--overfit", "4", "-o", "few"]) == 0
    assert Path("few/report.html").is_file()


def test_seeds_and_folds(toy: Path, capsys):  # noqa: F811
    assert main(["train", *WORDS, "--seeds", "2", "-o", "s"]) == 0
    assert Path("s/seed1/best.safetensors").is_file()
    assert "2 runs" in capsys.readouterr().out
    assert main(["train", *WORDS, "--folds", "-o", "cv"]) == 0
    assert Path("cv/fold2/best.safetensors").is_file()
    assert "3 runs" in capsys.readouterr().out


def test_a_wrong_setting_names_its_line(toy: Path, capsys):  # noqa: F811
    Path("wrong.yaml").write_text("model: {name: toy}\ndata: {root: x}\noptim:\n  lrr: 1\n")
    assert main(["train", "wrong.yaml"]) == 2
    assert capsys.readouterr().err == "error: wrong.yaml:4: unknown setting 'optim.lrr'; did you mean 'optim.lr'?\n"
    assert main(["train", *WORDS, "optim.lr"]) == 2
    assert "key.path=value" in capsys.readouterr().err


def test_a_dry_run_ends_with_a_verdict(toy: Path, capsys):  # noqa: F811
    assert main(["train", *WORDS, "--dry-run", "-o", "dry"]) == 0
    time, memory, writes = capsys.readouterr().out.splitlines()[-3:]
    assert re.match(r"time: about [\d.]+ m?s for 5 steps \(1 epochs of 5\)", time)
    assert re.match(r"memory: [\d.]+ [MG]B at the peak", memory)
    assert re.match(r"writes: about \d+ kB into dry: best.safetensors \(\d+ kB\), last.pt \(\d+ kB\)", writes)


def test_json_of_runs(toy: Path, capsys):  # noqa: F811
    def said(*words: str) -> dict[str, Any]:
        assert main(["train", *WORDS, "--json", *words]) == 0
        return json.loads(capsys.readouterr().out)

    dry = said("--dry-run")
    assert (dry["format"], dry["steps"], len(dry["verdict"])) == (2, 5, 3) and len(dry["loss"]) == 2
    run = said("epochs=2", "-o", "a")
    assert (run["run"], run["score_name"]) == ("a", "mean_dice") and 0 <= run["score"] <= 1
    assert Path(run["report"]).is_file() and "classes" in run["summary"]
    assert set(said("--seeds", "2", "-o", "s")["scores"]) == {"seed0", "seed1"}


def test_a_loss_of_many_terms_is_one_row():
    summary = dict.fromkeys(
        ("training_samples", "parameters", "seconds_data_per_step", "seconds_per_step", "evaluated_cases"), 1
    ) | {
        "seconds_per_evaluated_case": 1,
        "cases_tried": 4,
        "cases_per_step": 4,
        "share_of_case_tried": 1,
        "mb_weights_gradients_optimiser": 1,
    }
    few, many = ({f"layer{i}": 0.5 for i in range(count)} for count in (2, 7))
    shown = [[row for row in rows({**summary, "loss": terms}) if row[0].startswith("loss")] for terms in (few, many)]
    assert shown[0] == [["loss: layer0", "0.5000"], ["loss: layer1", "0.5000"]]
    assert shown[1] == [["loss", "3.5000, the sum of 7 terms (--json lists them)"]]


def test_a_time_that_is_too_short_is_said(tmp_path: Path):
    sizes = dict.fromkeys(("mb_checkpoint", "mb_resume_point", "mb_peak"), 1.0)
    steps = {"steps": 1, "steps_per_epoch": 83, "seconds_per_evaluated_case": 8.6, "evaluated_cases": 42}
    steps |= {"cases_tried": 4, "cases_per_step": 4}
    for asked, said in ((0.1, "LONGER than the 6 min 0 s asked for: an evaluation alone takes 6 min 1 s"), (0.2, "")):
        time = verdict({**sizes, **steps, "hours_estimated": 0.12, "hours_asked": asked}, tmp_path)[0]
        assert time.startswith("time: about 7 min 12 s for 1 step (0.012 epochs of 83)") and time.endswith(said)
