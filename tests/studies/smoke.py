"""One study from nothing to its report, at the budget that takes seconds."""

import json
import re

import numpy as np

from rookery.studies.agent_sources import TrainedAgents, TrainedTeam
from rookery.studies.study_list import load_study


def check_smoke(name, run, runs) -> None:
    """Carry a study out at `smoke`, and look at everything that it writes."""
    study = load_study(name)
    code, printed, err = run("reproduce", name, "--budget", "smoke", "--runs", runs, "--quiet")
    assert (code, err) == (0, "")
    folder = runs / "smoke-results" / name
    data = json.loads((folder / "results.json").read_text())
    assert printed.splitlines()[-1] == f"report: {(folder / 'report.html').resolve()}"
    # No claim is judged.
    assert [claim["verdict"] for claim in data["claims"]] == ["not judged"] * len(study.claims) != []
    assert f"{len(study.claims)} claims are not judged at the budget smoke\n" in printed
    # Every condition is in each of its evaluation conditions, each trained one with every seed.
    rows = {(row["eval_condition"], row["condition"], row["seed"]) for row in data["rows"]}
    assert len(rows) == len(data["rows"])
    for eval_condition in study.eval_conditions:
        for condition in study.conditions:
            name_and_label = eval_condition.name, condition.label
            if eval_condition not in (condition.eval_conditions or study.eval_conditions):
                assert not any((*name_and_label, seed) in rows for seed in (None, 0, 1))
                continue
            seeds = [None] if (*name_and_label, None) in rows else [0, 1]
            assert all((*name_and_label, seed) in rows for seed in seeds)
    for condition in study.conditions:
        if isinstance(condition.agents, TrainedAgents):
            curve = data["curves"][condition.label]
            assert len(curve["learning"]["return"]) == 2
            assert len(curve["checkpoints"]["social_gain"][0]) == len(curve["checkpoints"]["steps"]) > 0
        if isinstance(condition.agents, TrainedTeam):
            curve = data["curves"][condition.label]["learning"]
            assert np.shape(curve["return"]) == (2, len(curve["steps"])) != (2, 0)
    page = (folder / "report.html").read_text()
    assert "no claim is judged" in page
    assert not re.findall(r"""(?:src|href)=["']https?:""", page)
    assert (folder / "figure.png").exists()
    assert (folder / "figure.svg").exists()
