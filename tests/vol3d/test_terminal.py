"""Remarks reach a person or nobody, stop no work and command no terminal."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vol3d import terminal
from vol3d.cli.console import print_json, print_table
from vol3d.engine.log import Screen
from vol3d.terminal import Remarks, aside, console, progress, say, speaking, tell

NAME = "[/][red]x\x1b[31m\nerror: forged"


class Gone(io.StringIO):
    """A pipe whose reader has gone."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    def flush(self) -> None:
        self.write("")


class Screenful(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [None, Gone()])
def test_a_stderr_that_is_not_there_stops_nothing(stream: object, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    with speaking():
        say("a remark")
        with progress("reading") as report:
            report(1, 2, NAME)
        screen = Screen(0, 10)
        screen.step(10, 1.0, 0.1)
        screen.close()
    assert capsys.readouterr().out == ""


def test_names_are_shown_as_they_are_and_command_nothing(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    stream = Screenful()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    with speaking():
        say(NAME)
        with progress("reading") as report:
            report(1, 2, NAME)
            time.sleep(0.2)  # it is drawn ten times a second
        screen = Screen(0, 10)
        with screen.cases("evaluate") as show:
            show(1, 2, NAME)
            time.sleep(0.2)
        screen.close()
    said = stream.getvalue()
    assert said.startswith(r"[/][red]x\x1b[31m\nerror: forged" + "\n")
    assert r"reading [/][red]x\x1b[31m\nerror: forged" in said and r"evaluate [/][red]x\x1b" in said
    assert "\nerror" not in said and "\x1b[31m\n" not in said

    print_table([NAME], [[NAME]], NAME)
    tell(NAME)
    said = capsys.readouterr().out
    assert "\x1b" not in said and said.count(r"[/][red]x\x1b[31m\nerror: forged") == 3


def test_json_is_exact_and_commands_nothing(capsys) -> None:
    print_json({NAME: "\x9b\udcff"})
    said = capsys.readouterr().out
    assert said == '{\n  "format": 2,\n  "[/][red]x\\u001b[31m\\nerror: forged": "\\u009b\\udcff"\n}\n'


def test_a_stream_of_remarks_cleans_what_libraries_write() -> None:
    stream = io.StringIO()
    print("\x1b[2Jlogged", file=Remarks(stream))
    assert stream.getvalue() == "\\x1b[2Jlogged\n"
    assert Remarks(Remarks(stream)).stream is stream and Remarks(None).isatty() is False


def test_only_a_reader_who_has_gone_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="full"), aside():
        raise OSError(errno.ENOSPC, "full")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        tell("a line")
        tell("another line")
        stream.flush()


def test_a_console_of_remarks_has_no_colour_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", Remarks(stream))
    console(error=True).print("[red]x[/red]", style="bold")
    assert stream.getvalue() == "[red]x[/red]\n"


@pytest.mark.skipif(os.name == "nt", reason="descriptors of POSIX")
@pytest.mark.parametrize(("closed", "code"), [("2>&-", 0), ("<&- 2>&-", 0), (">&- 2>&-", 1)])
def test_closed_streams_are_replaced_before_a_file_takes_their_number(closed: str, code: int, tmp_path: Path) -> None:
    program = (
        "import os, sys; from vol3d.terminal import open_standard_streams; open_standard_streams();"
        f"file = open({str(tmp_path / 'a')!r}, 'w'); assert file.fileno() > 2; os.write(2, b'library');"
        "print('remark', file=sys.stderr); from vol3d.cli import main; main.main = lambda words: print('result') or 0;"
        "main.run()"
    )
    root = str(Path(terminal.__file__).parents[1])
    command = f'"{sys.executable}" -c "{program}" {closed}'
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": root}, check=False
    )
    assert done.returncode == code
    assert done.stdout == ("" if code else "result\n") and (tmp_path / "a").read_text() == ""
