"""The front door: instant, helpful, one line per fault, an exit code that scripts can trust."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vol3d import __version__
from vol3d.cli import demo, doctor, models
from vol3d.cli.main import format_warning, main
from vol3d.errors import DataError, UsageError

HELP = Path(__file__).parent / "help"
VERBS = [
    "",
    "demo",
    "data",
    "data prepare",
    "data check",
    "data stats",
    "data export",
    "data convert",
    "data generate",
    "init",
    "plan",
    "train",
    "distill",
    "evaluate",
    "score",
    "compare",
    "postprocess",
    "predict",
    "export",
    "import",
    "view",
    "models",
    "config",
    "doctor",
]
ACCEPT = "VOL3D_ACCEPT_HELP"


def vol3d(*words: str, **options) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(HELP.parents[3]), "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    environment |= options.pop("env", {})
    command = [sys.executable, *options.pop("run", ["-m", "vol3d.cli.main"]), *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, **options)


@pytest.fixture(scope="module")
def helps() -> dict[str, tuple[int, str]]:
    """The exit code and the help of each verb, by one process whose environment is known."""
    code = "import sys; from vol3d.cli.main import main\nfor verb in sys.argv[1:]:\n"
    code += "    code = main([*verb.split(), '--help']); print(end=f'\\0{code}\\0')"
    known = {"TERM": "dumb", "NO_COLOR": "1", "TERMINAL_WIDTH": "100"}
    done = vol3d(*VERBS, run=["-c", code], env=known)
    assert (done.returncode, done.stderr) == (0, "")
    parts = done.stdout.split("\0")[:-1]
    return {verb: (int(status), text) for verb, text, status in zip(VERBS, parts[::2], parts[1::2], strict=True)}


@pytest.mark.parametrize("verb", VERBS)
def test_help_is_the_accepted_one(verb: str, helps: dict[str, tuple[int, str]]):
    stored = HELP / f"{verb.replace(' ', '_') or 'vol3d'}.txt"
    status, printed = helps[verb]
    assert status == 0
    text = "\n".join(line.rstrip() for line in printed.splitlines()) + "\n"
    if os.environ.get(ACCEPT):
        stored.write_text(text, "utf-8")
    assert text == stored.read_text("utf-8"), f"the help changed; {ACCEPT}=1 accepts it"
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip() == "Examples")
    examples = [
        line
        for line in lines[start : next(i for i, line in enumerate(lines) if line.startswith("╭"))]
        if " vol3d " in line
    ]
    assert len(examples) == 3, "three examples come before the options"


@pytest.mark.parametrize("verb", ["", "predict", "train"])
def test_help_imports_nothing_heavy(verb: str):
    code = (
        "import sys; from vol3d.cli.main import main; main(sys.argv[1:]);"
        "print([m for m in ('torch', 'numpy', 'monai', 'scipy', 'yaml', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *verb.split(), "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.skipif(os.name == "nt", reason="needs getrusage")
def test_help_is_instant():
    import resource

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def least(*command: str) -> float:
        times = []
        for _ in range(6):
            before = used()
            subprocess.run(command, capture_output=True, check=True, cwd=HELP.parents[3])
            times.append(used() - before)
        return min(times)

    bare = least(sys.executable, "-c", "import typer.rich_utils")
    assert least(sys.executable, "-m", "vol3d.cli.main", "--help") < 2 * bare, "help costs what Typer costs"


def test_models_does_not_import_torch():
    code = "import sys; from vol3d.cli.main import main; main(['models']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"vol3d {__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predcit"], "Did you mean 'predict'?"),
        (["data", "chekc"], "Did you mean 'check'?"),
        (["demo", "--case", "3"], "--cases"),
        (["predict", "model"], "INPUT"),
        (["demo", "--cases", "0"], "cases"),
        (["doctor", "too", "many"], "too many"),
        (["train", "unetr_hipocampus_small"], "Did you mean 'unetr_hippocampus_small'?"),
        (["data", "check", "msdd", "."], "Did you mean 'msd'?"),
        (["train", "x.yaml", "--seeds", "2", "--folds"], "choose one"),
    ],
)
def test_bad_usage_is_one_line_and_2(words: list[str], message: str, capsys):
    assert main(words) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_no_verb_shows_help_and_is_bad_usage(capsys):
    assert main([]) == 2
    assert "Examples" in capsys.readouterr().out
    assert main(["data"]) == 2


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            DataError("cut file", where="a.nii.gz", got=3, wanted=4, do="Copy it again."),
            1,
            "a.nii.gz: cut file; got 3, wanted 4. Copy it again.",
        ),
        (UsageError("no such name"), 2, "no such name"),
        (MemoryError(), 1, "out of memory"),
        (PermissionError(13, "Permission denied", "/x"), 1, "/x: Permission denied"),
        (RuntimeError("first\nsecond"), 1, "RuntimeError: first (--debug shows where)"),
    ],
)
def test_faults_become_one_line(error: Exception, code: int, message: str, monkeypatch, capsys):
    def fail(as_json: bool) -> None:
        raise error

    monkeypatch.setattr("vol3d.cli.machine.examine", lambda: fail(False))
    assert main(["doctor"]) == code
    assert capsys.readouterr().err == f"error: {message}\n"
    assert main(["doctor", "--debug"]) == code
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.endswith(f"error: {message}\n")


def test_ctrl_c_is_130(monkeypatch, capsys):
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vol3d.cli.machine.examine", interrupt)
    assert main(["doctor"]) == 130
    said = capsys.readouterr().err
    assert "Traceback" not in said and said.strip() == "interrupted"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_in_a_process():
    code = "import time, vol3d.cli.machine as m; m.examine = lambda: print('up', flush=True) or time.sleep(30);"
    code += "from vol3d.cli.main import run; import sys; sys.argv = ['vol3d', 'doctor']; run()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "up\n"
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.communicate(timeout=20)[1]
    assert process.returncode == 130


@pytest.mark.parametrize("verb", ["models", "--help"])
def test_a_closed_pipe_is_silent(verb: str):
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [sys.executable, "-m", "vol3d.cli.main", verb], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 1


def test_nothing_is_coloured_in_a_pipe():
    for verb in ("models", "doctor"):
        done = vol3d(verb)
        assert done.returncode == 0
        assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("line", "wanted"),
    [("vol3d tra", "train"), ("vol3d data check ms", "msd"), ("vol3d train unetr_spl", "unetr_spleen")],
)
def test_completion(line: str, wanted: str):
    words = {"_VOL3D_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": line}
    assert wanted in vol3d(env=words).stdout


def test_each_verb_has_its_module():
    for verb, module in (("demo", demo), ("doctor", doctor), ("models", models)):
        assert callable(getattr(module, verb))


def test_warnings_of_ours_are_sentences_and_those_of_libraries_name_their_place():
    from pointcloud.models.layers import voxel_encoders

    ours = format_warning("too many voxels", UserWarning, voxel_encoders.__file__, 3)
    assert ours == "warning: too many voxels\n"
    assert format_warning("old", FutureWarning, "/lib/other.py", 3) == "/lib/other.py:3: FutureWarning: old\n"
