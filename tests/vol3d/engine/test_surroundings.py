"""A run goes on, or says why not, whatever became of the other files in its folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from tests.vol3d.engine.test_resume import at_step
from tests.vol3d.engine.toy import toy
from vol3d import terminal
from vol3d.engine import loop, results
from vol3d.engine.loop import train
from vol3d.engine.metrics import Metrics
from vol3d.engine.resume import LAST
from vol3d.engine.stop import Stopped
from vol3d.errors import CheckpointError

TABLE = "step,epoch,loss,dice\n1,1,0.5,\n2,1,0.25,0.75\n3,2,0.125,\n"


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("ended")
    train(toy(folder), folder / "run", device="cpu")
    return folder / "run"


@pytest.fixture
def run(ended: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ended, tmp_path / "run"))


@pytest.mark.parametrize(
    ("content", "kept", "lines"),
    [
        (TABLE[:-1], TABLE[:-11], 1),  # a last line without its end may be a cut number
        (TABLE[:-4], TABLE[:-11], 1),
        (TABLE.replace("2,1,0.25", "2,1,0.2\0"), TABLE.replace("2,1,0.25,0.75\n", ""), 1),
        (TABLE.replace("2,1,0.25", "x,1,0.25"), TABLE.replace("2,1,0.25,0.75\n", ""), 1),
        (TABLE.replace("2,1,0.25,", "2,1,"), TABLE.replace("2,1,0.25,0.75\n", ""), 1),
        (TABLE.replace("2,1,0.25,", '2,1,"0.25,'), TABLE.replace("2,1,0.25,0.75\n", ""), 1),
        (TABLE + "\0" * 4096, TABLE, 1),  # what a power failure leaves in some file systems
        (TABLE.replace("0.75", "\xff"), TABLE.replace("2,1,0.25,0.75\n", ""), 1),
        (TABLE.replace("dice", "loss"), "step,epoch\n", 4),
        (TABLE.replace("step,", "time,"), "step,epoch\n", 4),
        (TABLE.partition("\n")[2], "step,epoch\n", 3),
        ("\0" * 100, "step,epoch\n", 1),
        ("", "step,epoch\n", 0),
        (TABLE, TABLE, 0),
    ],
)
def test_damaged_lines_of_the_table_are_left_out(content: str, kept: str, lines: int, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(content.encode("latin-1"))
    table = Metrics(path, 3)
    assert path.read_text() == kept
    assert (table.damaged.numbers if table.damaged else {"lines": 0}) == {"lines": lines}
    table.append(4, 2, {"loss": 0.1})
    assert path.read_text().splitlines()[-1].startswith("4,2,0.1")


def test_a_table_that_is_missing_or_a_pipe_is_begun_again(tmp_path: Path) -> None:
    assert "begin at step 5" in str(Metrics(tmp_path / "a.csv", 5).damaged)
    assert Metrics(tmp_path / "b.csv", 0).damaged is None
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "metrics.csv")
        Metrics(tmp_path / "metrics.csv", 5)
        assert (tmp_path / "metrics.csv").read_text() == "step,epoch\n"


def test_names_of_columns_stay_on_one_line(tmp_path: Path) -> None:
    table = Metrics(tmp_path / "a.csv", 0)
    table.append(1, 1, {"a\nb, c": 1.0})
    table.append(2, 1, {"a\nb, c": 2.0, "d": 3.0})
    assert (tmp_path / "a.csv").read_text() == 'step,epoch,"a\\nb, c",d\n1,1,1,\n2,1,2,3\n'


def test_a_damaged_table_does_not_stop_a_resume(
    tmp_path: Path, ended: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(loop, "StopRequest", _StopAtOnce)
        with pytest.raises(Stopped, match="saved at step 1"):
            train(toy(tmp_path), tmp_path / "run", device="cpu")
    (tmp_path / "run/metrics.csv").write_bytes(b"step,ep\0")
    with terminal.speaking():
        train(toy(tmp_path), tmp_path / "run", device="cpu")
    assert "note: metrics.csv was damaged: 1 of its lines" in capsys.readouterr().err
    assert (tmp_path / "run" / results.EVALUATION).read_bytes() == (ended / results.EVALUATION).read_bytes()


class _StopAtOnce(loop.StopRequest):
    def __enter__(self) -> loop.StopRequest:
        import signal

        self.asked = signal.SIGTERM
        return self


def test_a_report_that_a_killed_process_did_not_write_is_made_at_the_next_start(run: Path, tmp_path: Path) -> None:
    (run / "report.html").unlink()
    train(toy(tmp_path), run, device="cpu")
    assert "mean_margin" in (run / "report.html").read_text()
    (run / "report.html").write_text("old")
    os.utime(run / "report.html", ns=(0, 0))  # older than the evaluation: of an earlier one
    train(toy(tmp_path), run, device="cpu")
    assert "mean_margin" in (run / "report.html").read_text()


@pytest.mark.parametrize("content", ["", "{", '{"score": 1}', "[]", '{"score": "a", "score_name": "b"}', "null"])
def test_a_damaged_evaluation_is_made_again(content: str, run: Path, ended: Path, tmp_path: Path, capsys) -> None:
    (run / results.EVALUATION).write_text(content)
    with terminal.speaking():
        evaluation = train(toy(tmp_path), run, device="cpu")
    assert "the best weights are evaluated again" in capsys.readouterr().err
    assert (run / results.EVALUATION).read_bytes() == (ended / results.EVALUATION).read_bytes()
    assert evaluation.score_name == "mean_margin"


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x")])
def test_damaged_best_weights_are_named_at_the_start(damage, run: Path, tmp_path: Path) -> None:
    damage(run / "best.safetensors")
    with pytest.raises(CheckpointError, match=f"the run's best weights: .*move {LAST} away"):
        train(toy(tmp_path), run, device="cpu")


def test_two_quick_ctrl_c_quit_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import signal
    import time

    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.15)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)

    at_step(monkeypatch, 2, twice)
    with pytest.raises(KeyboardInterrupt):
        train(toy(tmp_path), tmp_path / "run", device="cpu")
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".vol3d-tmp")]
