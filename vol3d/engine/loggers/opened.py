"""The loggers that `train.loggers` names: whether their packages are there, and how each is opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from vol3d.engine.loggers.guarded import Guarded
from vol3d.engine.loggers.logger import LoggedRun, Logger
from vol3d.engine.loggers.mlflow import URI
from vol3d.errors import UsageError

_OF_A_DATABASE = ("sqlalchemy", "alembic")


def require_loggers(names: Sequence[str]) -> None:
    """Raises UsageError if a package that one of the loggers needs is not installed."""
    for name in names:
        missing = [package for package in _packages(name) if not _is_installed(package)]
        if missing:
            do = f'Run `pip install "vol3d[loggers]"`, or leave {name} out.'
            what = f"the logger {name} needs a package that is not installed"
            raise UsageError(what, where="train.loggers", got=f"no {' and no '.join(missing)}", do=do)


def open_loggers(names: Sequence[str], run: LoggedRun) -> list[Guarded]:
    """The loggers of a run, in the order of the setting; one that cannot be opened is tried again later."""
    return [Guarded(name, _opener(name, run), run.say) for name in dict.fromkeys(names)]


def _packages(name: str) -> tuple[str, ...]:
    store = os.environ.get(URI, "sqlite:")
    a_database = name == "mlflow" and not store.startswith(("http:", "https:", "file:", "databricks"))
    return (name, *_OF_A_DATABASE) if a_database else (name,)


def _is_installed(package: str) -> bool:
    """Whether it can be imported; a folder `wandb/` that runs have left here is no package."""
    found = find_spec(package)
    return found is not None and found.origin is not None


def _opener(name: str, run: LoggedRun) -> Callable[[], Logger]:
    def opened() -> Logger:
        if name == "wandb":
            from vol3d.engine.loggers.weights_and_biases import WandbLogger

            return WandbLogger(run)
        if name == "mlflow":
            from vol3d.engine.loggers.mlflow import MlflowLogger

            return MlflowLogger(run)
        from vol3d.engine.loggers.tensorboard import TensorBoardLogger

        return TensorBoardLogger(run)

    return opened
