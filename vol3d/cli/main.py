"""The command `vol3d`: its verbs, and one place where faults become a line and an exit code.

Exit codes: 0 good, 1 failed, 2 bad usage, 3 some inputs failed and the others were written, 130 Ctrl-C. No module of a
verb imports torch before the verb runs, so that help and completion are instant.
"""

from __future__ import annotations

import errno
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from vol3d import __version__
from vol3d.cli import (
    compare,
    config,
    data,
    demo,
    distill,
    doctor,
    evaluate,
    export,
    hints,
    import_weights,
    init,
    models,
    plan,
    postprocess,
    predict,
    score,
    train,
    view,
)
from vol3d.cli.interrupt import INTERRUPTED, guard_interrupts
from vol3d.errors import UsageError, Vol3dError
from vol3d.paths import user_path
from vol3d.printable import one_line, printable
from vol3d.terminal import open_standard_streams, silence_stdout, speaking
from vol3d.threads import wait_shortly

FAILED, BAD_USAGE = 1, 2
_OF_HOME = re.compile(r"((?:--[\w-]+=|-\w)?)(~.*)", re.DOTALL)

# Typer carries its own copy of click in some releases; its public BadParameter leads to the base of both.
_CommandLineError = typer.BadParameter.__mro__[2]


class _Verbs(typer.core.TyperGroup):
    """The verbs; one of another program is answered with ours."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """See the base class; raises UsageError for a known foreign verb."""
        hint = hints.for_verb(args[0]) if args and args[0] not in self.commands else None
        if hint:
            raise UsageError(f"no such command '{args[0]}'", do=hint)
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="vol3d",
    cls=_Verbs,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (
    demo.demo,
    init.init,
    plan.plan,
    train.train,
    distill.distill,
    evaluate.evaluate,
    score.score,
    compare.compare,
    postprocess.postprocess,
    predict.predict,
    export.export,
    view.view,
    models.models,
    config.config,
    doctor.doctor,
):
    app.command()(verb)
app.command("import")(import_weights.import_weights)
app.add_typer(data.app, name="data")


def _version(asked: bool) -> None:
    if asked:
        print(f"vol3d {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def vol3d(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
) -> None:
    """3D vision on point clouds and medical volumes: train, evaluate, predict and view.

    [bold]Examples[/bold]

      vol3d demo
      vol3d predict unetr-hippocampus scan.nii.gz -o out
      vol3d train unetr_hippocampus_small data=DATA/Task04_Hippocampus
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(BAD_USAGE)


def run() -> None:
    """Entry point of the console command."""
    open_standard_streams()
    guard_interrupts()
    wait_shortly()
    warnings.formatwarning = format_warning
    code = main(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:  # said already; Python would try again at its end and change the exit code
        code = code or FAILED
        silence_stdout()
    sys.exit(code)


def format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """What a person reads of a warning: of ours the sentence, of a library's its place too."""
    root = Path(__file__).parents[2]
    ours = any(root / package in Path(filename).parents for package in ("vol3d", "pointcloud", "medical"))
    text = one_line(message)
    return f"warning: {text}\n" if ours else f"{filename}:{lineno}: {category.__name__}: {text}\n"


def main(words: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; never raises but for SystemExit of the shell's completion."""
    own = list(words[: words.index("--")]) if "--" in words else list(words)
    debug = "--debug" in own
    words = [*(word for word in own if word != "--debug"), *words[len(own) :]]  # understood at any place
    command = typer.main.get_command(app)
    try:
        with speaking():
            code = command.main(args=[_at_home(word) for word in words], prog_name="vol3d", standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:  # Typer catches Ctrl-C itself
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            silence_stdout()  # as in `vol3d models | head -1`: nothing to say, and nobody to say it to
            return FAILED
        if debug:
            print(printable(traceback.format_exc()), end="", file=sys.stderr)
        return _explain(error)


def _at_home(word: str) -> str:
    """A word of the command line with `~` as a shell has it, which leaves it alone in `--out=~/runs`."""
    found = _OF_HOME.fullmatch(word)
    return f"{found[1]}{user_path(found[2])}" if found else word


def _usage(error: Any) -> str:
    """A fault of the command line, with the way out where an option is another program's."""
    option, context = getattr(error, "option_name", None), getattr(error, "ctx", None)
    hint = hints.for_option(option, context.info_name) if option and context else None
    return f"no such option {option}. {hint}" if hint else error.format_message()


def _explain(error: Exception) -> int:
    """Says on stderr what went wrong, and returns the exit code."""
    if isinstance(error, Vol3dError):
        message, code = str(error), error.exit_code
    elif isinstance(error, _CommandLineError):
        message, code = _usage(error), error.exit_code  # type: ignore[attr-defined]
    elif isinstance(error, MemoryError):
        message, code = "out of memory", FAILED
    elif isinstance(error, OSError) and error.strerror:
        message, code = f"{one_line(error.filename)}: {error.strerror}" if error.filename else error.strerror, FAILED
    else:
        first = (str(error).strip().splitlines() or [""])[0]
        message, code = f"{type(error).__name__}: {first} (--debug shows where)", FAILED
    print(printable(message if code == 0 else f"error: {message}"), file=sys.stderr)
    return code


if __name__ == "__main__":
    run()
