"""`vol3d doctor`: what a person pastes into a bug report, and the line that installs what is missing."""

from __future__ import annotations

from typing import Any

from vol3d.cli.console import print_json
from vol3d.cli.options import Json


def doctor(as_json: Json = False) -> None:
    """Describe this machine and installation for a bug report, and how to install what is missing.

    [bold]Examples[/bold]

      vol3d doctor
      vol3d doctor --json
      vol3d doctor > machine.txt
    """
    from vol3d.cli.machine import examine

    report = examine()
    if as_json:
        print_json(report)
        return
    for title, facts in report.items():
        print(f"{title}:")
        for name, value in facts.items():
            print(f"  {name:<14} {_line(value)}")


def _line(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name}={it}" for name, it in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "unknown" if value is None else str(value)
