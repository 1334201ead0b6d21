"""MLflow: one MLflow run per training run, at MLFLOW_TRACKING_URI or in the folder `mlruns`."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from rookery.tracking.tracker import TrackedRun, Tracker

DEFAULT_FOLDER = "mlruns"
_IN = " in "
"""Between an MLflow run's id and the URI of its folder, in the id by which a resumed run continues it."""
_MAX_BATCH_SIZE = 1000  # metrics in one request, by MLflow's interface


class MLflowTracker(Tracker):
    """A resumed run continues the same MLflow run, from any folder.

    Updates that are trained again appear twice, with equal numbers.
    """

    kind: ClassVar[str] = "mlflow"
    package: ClassVar[str | None] = "mlflow"

    def start(self, run: TrackedRun, run_id: str | None) -> str:
        """Start or continue the MLflow run. Raises: MLflow's error if the store cannot be reached."""
        run_id, _, folder = (run_id or "").partition(_IN)
        # The folder is that of the first session, wherever a later one is started.
        folder = folder or (Path.cwd() / DEFAULT_FOLDER).as_uri()
        uri = os.environ.get("MLFLOW_TRACKING_URI") or folder
        suffix = _IN + folder if uri == folder else ""  # another URI may hold a password, which is not kept
        if uri.startswith("file:"):
            # MLflow 3 refuses its file store otherwise, and the small package has no other store without a server.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        from mlflow import MlflowClient  # pyright: ignore[reportMissingImports] (optional)

        self._client = MlflowClient(tracking_uri=uri)
        if run_id:
            self._client.update_run(run_id, status="RUNNING")
            self._run_id = run_id
            return run_id + suffix
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "rookery"
        known = self._client.get_experiment_by_name(experiment)
        experiment_id = known.experiment_id if known else self._client.create_experiment(experiment)
        self._run_id = self._client.create_run(experiment_id, run_name=run.name).info.run_id
        self._client.log_dict(self._run_id, dict(run.config), "config.json")
        self._client.set_tag(self._run_id, "rookery.run_dir", str(run.run_dir.resolve()))
        return self._run_id + suffix

    def write(self, steps: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric  # pyright: ignore[reportMissingImports] (optional)

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, steps) for name, value in values.items()]
        for start in range(0, len(metrics), _MAX_BATCH_SIZE):
            self._client.log_batch(self._run_id, metrics=metrics[start : start + _MAX_BATCH_SIZE])

    def finish(self) -> None:
        self._client.set_terminated(self._run_id)
