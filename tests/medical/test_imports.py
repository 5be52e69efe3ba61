"""What predicting with one network must not wait for."""

from __future__ import annotations

import subprocess
import sys

UNUSED = ("monai", "matplotlib", "nibabel", "scipy.spatial")


def test_the_task_loads_neither_monai_nor_what_draws_and_measures() -> None:
    code = f"import sys, medical.task; print([name for name in {UNUSED} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert loaded.stdout.strip() == "[]"
