"""The project's own checks, in the order of their speed: lint, format, types, tests. Any argument goes to pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))  # as a script it has its own folder there

from tests import kernels  # noqa: E402


def main(arguments: list[str]) -> int:
    """Runs all checks and returns the first exit code that is not zero."""
    # One thread a test process: two processes with two threads each are slower on two cores.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    checks = [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["pytest", "-n", str(min(8, os.cpu_count() or 1)), "--durations=15", *arguments],
    ]
    if restored := kernels.restore(PROJECT):
        print(f"{restored} compiled kernels of another checkout with the same sources", flush=True)
    for check in checks:
        print("+", *check, flush=True)
        code = subprocess.run([sys.executable, "-m", *check], cwd=PROJECT, env=environment).returncode
        if code:
            break
    kernels.keep(PROJECT)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
