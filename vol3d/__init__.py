"""vol3d: 3D vision on point clouds and medical volumes.

    model = vol3d.load("unetr-hippocampus")
    result = model.predict("scan.nii.gz")
    result.save("out/")

Importing it does not import torch: names are looked up when they are used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vol3d.compiled import choose_cache

if TYPE_CHECKING:
    from vol3d.api import (
        Model,
        Run,
        compare,
        evaluate,
        export,
        generate,
        load,
        load_released,
        models,
        read,
        recipes,
        samples,
        score,
        train,
    )

__version__ = "0.1.0"
choose_cache()
__all__ = [
    "Model",
    "Run",
    "compare",
    "evaluate",
    "export",
    "generate",
    "load",
    "load_released",
    "models",
    "read",
    "recipes",
    "samples",
    "score",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'vol3d' has no attribute '{name}'")
    from vol3d import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
