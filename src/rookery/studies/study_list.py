"""Every study by name; a study's module is imported only when the study is loaded."""

from __future__ import annotations

import importlib

from rookery.errors import ConfigError, NotFoundError, suggest
from rookery.plugins import describe_foreign_error
from rookery.studies.entry_points import other_packages_studies
from rookery.studies.study import Study

STUDIES = {
    "ndousse2021/fig2": "rookery.studies.ndousse2021.fig2",
    "ndousse2021/fig4": "rookery.studies.ndousse2021.fig4",
    "ndousse2021/learning-experts": "rookery.studies.ndousse2021.learning_experts",
    "ndousse2021/dose-response": "rookery.studies.ndousse2021.dose_response",
    "ndousse2021/demo-ablation": "rookery.studies.ndousse2021.demo_ablation",
    "ndousse2021/small-grid": "rookery.studies.ndousse2021.small_grid",
    "ndousse2021/large-grid": "rookery.studies.ndousse2021.large_grid",
    "ndousse2021/fig5": "rookery.studies.ndousse2021.fig5",
    "ndousse2021/fig6": "rookery.studies.ndousse2021.fig6",
    "ndousse2021/fig7": "rookery.studies.ndousse2021.fig7",
    "ndousse2021/fig8": "rookery.studies.ndousse2021.fig8",
    "ndousse2021/fig9": "rookery.studies.ndousse2021.fig9",
    "ndousse2021/fig10": "rookery.studies.ndousse2021.fig10",
    "ndousse2021/fig11": "rookery.studies.ndousse2021.fig11",
    "ndousse2021/fig12": "rookery.studies.ndousse2021.fig12",
    "ndousse2021/fig13": "rookery.studies.ndousse2021.fig13",
    "ndousse2021/talk2020/penalty": "rookery.studies.ndousse2021.talk2020.penalty",
    "ndousse2021/talk2020/refresh": "rookery.studies.ndousse2021.talk2020.refresh",
    "ndousse2021/talk2020/hidden": "rookery.studies.ndousse2021.talk2020.hidden",
    "ndousse2021/talk2020/single-goal": "rookery.studies.ndousse2021.talk2020.one_goal",
    "ndousse2021/talk2020/dqn": "rookery.studies.ndousse2021.talk2020.dqn",
    "ndousse2021/talk2020/solo-after": "rookery.studies.ndousse2021.talk2020.solo_after",
    "ndousse2021/theory": "rookery.studies.ndousse2021.theory",
    "ndousse2021/paper-gap": "rookery.studies.ndousse2021.paper_gap",
    "ndousse2021/extended-training/plain": "rookery.studies.ndousse2021.extended_training.plain",
    "ndousse2021/extended-training/slow": "rookery.studies.ndousse2021.extended_training.slow",
    "ndousse2021/extended-training/pixels": "rookery.studies.ndousse2021.extended_training.pixels",
    "ndousse2021/waiting": "rookery.studies.ndousse2021.waiting",
    "bhoopchand2023/medal": "rookery.studies.bhoopchand2023.medal",
    "cook2024/in-weights": "rookery.studies.cook2024.in_weights",
    "cook2024/in-context": "rookery.studies.cook2024.in_context",
    "duque2025/prisoners-dilemma": "rookery.studies.duque2025.prisoners_dilemma",
    "duque2025/coin-game": "rookery.studies.duque2025.coin_game_study",
    "zhou2024/reciprocators": "rookery.studies.zhou2024.reciprocators",
    "mckee2020/value-orientation": "rookery.studies.mckee2020.orientations",
    "willis2024/reward-transfer": "rookery.studies.willis2024.reward_transfer",
    "jaques2019/centralized": "rookery.studies.jaques2019.centralized_study",
    "jaques2019/centralized-harvest": "rookery.studies.jaques2019.centralized_harvest",
    "jaques2019/messages": "rookery.studies.jaques2019.messages",
    "jaques2019/messages-harvest": "rookery.studies.jaques2019.messages_harvest",
    "jaques2019/moa": "rookery.studies.jaques2019.moa_study",
    "jaques2019/moa-harvest": "rookery.studies.jaques2019.moa_harvest",
    "jaques2019/baselines": "rookery.studies.jaques2019.baselines",
    "jaques2019/baselines-harvest": "rookery.studies.jaques2019.baselines_harvest",
    "jaques2019/boxtrapped": "rookery.studies.jaques2019.boxtrapped",
    "jaques2019/communication-metrics": "rookery.studies.jaques2019.communication_metrics",
}
"""Name of a study to the module that defines its STUDY."""


def study_names() -> list[str]:
    """Every study, including those of other packages; imports none of them."""
    return list(dict.fromkeys([*STUDIES, *other_packages_studies(STUDIES)]))


def load_study(name: str) -> Study:
    """A study by name.

    Raises: NotFoundError, suggesting the nearest names; ConfigError if another package's study cannot be imported, or
    is not a study of that name.
    """
    if name in STUDIES:
        return importlib.import_module(STUDIES[name]).STUDY
    points = other_packages_studies(STUDIES)
    if name not in points:
        raise NotFoundError(f"there is no study {name!r}; {suggest(name, study_names())}")
    point = points[name]
    owner = point.dist.name if point.dist else "unknown package"
    try:
        study = point.load()
    except (Exception, SystemExit) as error:  # whatever is wrong in another package
        raise ConfigError(
            f"{owner}: the study {name!r} cannot be imported from {point.value}: {describe_foreign_error(error)}"
        ) from error
    if not isinstance(study, Study) or study.name != name:
        raise ConfigError(
            f"{owner}: the entry point {name} = {point.value} must name a Study whose `name` is {name!r}, the same name"
        )
    return study
