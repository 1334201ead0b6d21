"""The folder of a run that was never trained, for tests of what reads such folders: it takes no time to make."""

import json

import numpy as np

from rookery.storage.metrics import MetricsWriter

TEAM = [{"name": "novice", "learner": {"kind": "ppo"}}, {"name": "other", "learner": None}]


def write_run(run_dir, updates=2, total=4):
    """The folder of a run with two seeds and two variants; the last update is a checkpoint."""
    config = {"seed": 3, "num_seeds": 2, "task": {"kind": "maze"}, "team": TEAM}
    config["variants"] = [{"name": "social"}, {"name": "solo"}]
    run_dir.mkdir(parents=True)
    (run_dir / "config.json").write_text(json.dumps({"rookery": "0.1.0", "config": config}))
    with MetricsWriter(run_dir) as writer:
        for update in range(1, updates + 1):
            row = {
                "social": {
                    "novice": {"return": [update, None if update == 1 else 2.0]},
                    "other": {"return": [9.0, 9.0]},
                },
                "solo": {"novice": {"return": [0.5, 0.5]}},
                "time/seconds": 1.5 * update,
            }
            row["social"]["novice"]["return"] = np.array(row["social"]["novice"]["return"], float)
            if update == updates:
                row["evaluation/social/novice/social_gain/return"] = np.array([1.0, 3.0])
            writer.write(update, 100 * update, row)
    status = {"num_updates": updates, "total_updates": total, "steps": 100 * updates, "seconds": 3.0, "machine": {}}
    (run_dir / "status.json").write_text(json.dumps(status))
    return run_dir
