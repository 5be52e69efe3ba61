"""MLflow: on the server of `MLFLOW_TRACKING_URI`, or in `mlflow/` of the run's folder where that is not set."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from vol3d.engine.loggers.logger import PROJECT, LoggedRun, State, final_numbers, flat_settings, results
from vol3d.engine.task import Evaluation
from vol3d.files import make_folder

URI = "MLFLOW_TRACKING_URI"
_STORE = "mlflow"
# Read by MLflow at each request. Without them a server that is gone holds up the training for minutes each time, and
# the package reports its use to its makers.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_LONGEST_VALUE, _PARAMS, _METRICS = 6000, 100, 1000  # of one setting; of one request
_UNKNOWN = re.compile(r"[^\w\-. /]", re.ASCII)
_STATUS: dict[State, str] = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
Item = TypeVar("Item")


class MlflowLogger:
    """One MLflow run for a run; a resumed run has the same id."""

    def __init__(self, run: LoggedRun) -> None:
        for name, value in _DEFAULTS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        for chatty in ("mlflow", "alembic"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        store = None if os.environ.get(URI) else make_folder(run.folder.resolve() / _STORE)
        self.folder = run.folder
        self.client = MlflowClient(f"sqlite:///{(store / 'mlflow.db').as_posix()}" if store else os.environ[URI])
        self.id = self._resumed(run) or self._created(run, store)
        run.keep_id("mlflow", self.id)
        self._settings(run.settings)

    def _resumed(self, run: LoggedRun) -> str | None:
        """The id of the run that was stopped, which runs again; None where this store does not have it."""
        from mlflow.exceptions import MlflowException

        known = run.known_id("mlflow")
        try:
            if known is not None:
                self.client.update_run(known, status="RUNNING")
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return known

    def _created(self, run: LoggedRun, store: Path | None) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        experiment = self.client.get_experiment_by_name(name)
        artifacts = None if store is None else (store / "artifacts").as_uri()
        number = experiment.experiment_id if experiment else self.client.create_experiment(name, artifacts)
        return str(self.client.create_run(number, run_name=run.name).info.run_id)

    def _settings(self, settings: Mapping[str, Any]) -> None:
        """Parameters cannot be changed: of a resumed run, those that it had not."""
        from mlflow.entities import Param

        known = self.client.get_run(self.id).data.params
        fresh = {_name(key): value[:_LONGEST_VALUE] for key, value in flat_settings(settings).items()}
        for part in _parts([Param(key, value) for key, value in fresh.items() if key not in known], _PARAMS):
            self.client.log_batch(self.id, params=part)

    def scalars(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """A point of each curve."""
        self._log(step, {"epoch": epoch, **values})

    def ended(self, step: int, evaluation: Evaluation) -> None:
        """Scores as metrics, the report and tables as artifacts."""
        self._log(step, {"final/step": step, **final_numbers(evaluation)})
        for path in results(self.folder):
            self.client.log_artifact(self.id, str(path))

    def close(self, state: State) -> None:
        """FINISHED, KILLED where it can be resumed, or FAILED."""
        self.client.set_terminated(self.id, _STATUS[state])

    def _log(self, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for part in _parts([Metric(_name(key), value, now, step) for key, value in values.items()], _METRICS):
            self.client.log_batch(self.id, metrics=part)


def _name(text: str) -> str:
    """The name of a metric as MLflow takes it: letters, digits, `_-. /`."""
    return _UNKNOWN.sub("_", text)[:250]


def _parts(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part
