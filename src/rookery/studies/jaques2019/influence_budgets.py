"""The three budgets of the influence studies: every constant of their desk recipe stands here and nowhere else.

`paper` takes the published numbers of `runs/presets_dilemma.py`. `desk` takes small maps and views, fewer agents, short
episodes, PPO in place of A3C and a small network; the weights of influence are the published ones, and it rises over
the same share of a run. Harvest's numbers were not searched for; Cleanup's were, without influence, on training seed
100, until somebody learned to clean (docs/influence.md); those of Box Trapped, a preset of its own, were too.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from rookery.agents.networks import JaquesNetwork
from rookery.learning.a2c import A2C
from rookery.learning.intrinsic import IntrinsicConfig
from rookery.learning.learners import LearnerConfig
from rookery.learning.ppo import PPO
from rookery.studies.study import Budget
from rookery.tasks import registry
from rookery.training import presets_dilemma as presets
from rookery.training.config import GroupConfig, RunConfig, Variant
from rookery.training.presets_dilemma import SocialDilemmaName
from rookery.training.schedules import Schedule

PUBLISHED_TIMESTEPS = 500e6


@dataclasses.dataclass(frozen=True)
class DeskPreset:
    """What the two games do not share at `desk`."""

    total_timesteps: int  # of each seed
    num_minibatches: int  # an update: four to a pass
    network: JaquesNetwork
    learning_rate: Schedule
    ent_coef: Schedule
    env_schedules: dict[str, Schedule]


DESK_PRESETS: dict[SocialDilemmaName, DeskPreset] = {
    "cleanup": DeskPreset(
        total_timesteps=800_000,
        num_minibatches=16,
        network=JaquesNetwork(encoder_size=64, hidden_size=64),
        learning_rate=((0.0, 1e-3), (0.7, 1e-3), (1.0, 2e-4)),
        ent_coef=((0.0, 0.005), (0.5, 0.003), (1.0, 0.0005)),
        # At first being hit is cheap, so that random beams do not drown what apples teach, and some apples grow in a
        # river as dirty as it is, so that a little cleaning shows. Both are as published in the last quarter.
        env_schedules={
            "hit_cost": ((0.0, 1.0), (0.3, 1.0), (0.4, 50.0)),
            "depletion_threshold": ((0.0, 1.0), (0.35, 1.0), (0.75, 0.4)),
        },
    ),
    "harvest": DeskPreset(
        total_timesteps=400_000,
        num_minibatches=8,
        network=presets.SMALL_JAQUES,
        learning_rate=((0.0, 2e-3), (0.7, 1e-3), (1.0, 2e-4)),
        ent_coef=((0.0, 0.02), (0.7, 0.004), (1.0, 0.001)),
        env_schedules={},
    ),
}

INFLUENCE_NUM_ENVS = 16  # an update
INFLUENCE_CHECKPOINT_INTERVAL = 25  # updates
HARVEST_NUM_AGENTS = 4  # agents in Harvest: three of them are the published influencers

DILEMMA_STEPS_PER_SECOND: dict[Budget, int] = {"desk": 3_800, "paper": 500}
BOX_TRAPPED_STEPS_PER_SECOND: dict[Budget, int] = {"desk": 6_000, "paper": 1_000}
"""Environment steps a second on one core of a Xeon. Box Trapped at `desk` was timed; the
others are worked out from it, by agents and the arithmetic of their networks, and were not timed there. On one core of
an AMD EPYC Cleanup at `desk` makes 3,500, eight teams side by side."""


def dilemma_task(budget: Budget, name: SocialDilemmaName) -> Any:
    """Cleanup or Harvest: the published one, or the small one of the registry; a glimpse of it at smoke."""
    if budget == "paper":
        return registry.get_task(f"{name}-v0")
    task = registry.get_task(f"{name}-small-v0")
    if name == "harvest":
        task = dataclasses.replace(task, num_agents=HARVEST_NUM_AGENTS)
    return task if budget == "desk" else dataclasses.replace(task, max_steps=6, view_radius=1)


def box_trapped_task(budget: Budget) -> Any:
    """Box Trapped: the registered one at `paper`, with smaller views at `desk`."""
    if budget == "paper":
        return registry.get_task("box-trapped-v0")
    task = presets.box_trapped().task
    return task if budget == "desk" else dataclasses.replace(task, max_steps=6, view_radius=1)


def influence_network(budget: Budget, desk: DeskPreset | None = None) -> JaquesNetwork:
    """Of every agent: the published one, that of `desk`, or a toy at smoke."""
    if budget == "paper":
        return JaquesNetwork()
    return desk.network if desk and budget == "desk" else JaquesNetwork(filters=2, encoder_size=4, hidden_size=4)


def influence_learner(
    budget: Budget, task: Any, intrinsic: tuple[IntrinsicConfig, ...], desk: DeskPreset | None = None
) -> LearnerConfig:
    """Paid by these intrinsic rewards, which rise over the published share of the run."""
    if budget == "paper":
        return A2C(sequence_length=50, num_minibatches=8, intrinsic=intrinsic)
    steps = desk.total_timesteps if desk and budget == "desk" else smoke_timesteps(task)
    intrinsic = tuple(
        dataclasses.replace(plug, warmup_steps=plug.warmup_steps * steps / PUBLISHED_TIMESTEPS) for plug in intrinsic
    )
    if desk and budget == "desk":
        return dataclasses.replace(
            presets.desktop_ppo(task, INFLUENCE_NUM_ENVS, intrinsic), num_minibatches=desk.num_minibatches
        )
    return A2C(sequence_length=task.max_steps, intrinsic=intrinsic)


def smoke_timesteps(task: Any) -> int:
    return 3 * 4 * task.max_steps


def influence_run_config(budget: Budget, name: str, task: Any, team: tuple[GroupConfig, ...], **changes) -> RunConfig:
    """A run in which everybody learns; nobody is tested on the way, for alone there is nobody to influence."""
    sizes: dict[str, Any] = {"num_envs": INFLUENCE_NUM_ENVS, "checkpoint_interval": INFLUENCE_CHECKPOINT_INTERVAL}
    if budget == "paper":
        sizes |= {"total_timesteps": int(PUBLISHED_TIMESTEPS), "checkpoint_interval": 50}
    elif budget == "smoke":
        sizes |= {"total_timesteps": smoke_timesteps(task), "num_envs": 4, "checkpoint_interval": 2}
    return RunConfig(name=name, task=task, team=team, eval_episodes=0, **{**sizes, **changes})


def method_run_config(
    budget: Budget, name: str, game: SocialDilemmaName, method: str, variants: tuple[Variant, ...] = (Variant(),)
) -> RunConfig:
    """A published method in a game. At `paper` with its best published numbers."""
    task, desk = dilemma_task(budget, game), DESK_PRESETS[game]
    rates: dict[str, Any] = {"learning_rate": desk.learning_rate, "ent_coef": desk.ent_coef}
    changes: dict[str, Any] = {"variants": variants}
    if budget == "paper":
        rates = published_hparams(game, method)
    elif budget == "desk":
        changes |= {"total_timesteps": desk.total_timesteps, "env_schedules": desk.env_schedules}

    def make(paid):
        return influence_learner(budget, task, paid, desk)

    team = presets.make_team(method, game, task.num_agents, influence_network(budget, desk), make, **rates)
    return influence_run_config(budget, name, task, team, **changes)


def published_hparams(game: SocialDilemmaName, method: str) -> dict[str, Any]:
    """Entropy and learning rate of a method, as the paper's table has them."""
    entropy, start, end = presets.PUBLISHED_HPARAMS[method][game]
    return {"learning_rate": ((0.0, start), (1.0, end)), "ent_coef": entropy}


def box_trapped_run_config(budget: Budget, name: str) -> RunConfig:
    """Box Trapped: agent 0, free, acts first; agent 1, boxed in, is told what it does. At `desk` it is the preset."""
    config = presets.box_trapped()
    if budget == "desk":
        return dataclasses.replace(config, name=name)
    task = box_trapped_task(budget)

    def changed(group: GroupConfig) -> GroupConfig:
        assert isinstance(group.learner, PPO)
        return dataclasses.replace(
            group,
            policy=dataclasses.replace(group.policy, network=influence_network(budget)),
            learner=influence_learner(budget, task, group.learner.intrinsic),
            **(published_hparams("cleanup", "centralized") if budget == "paper" else {}),
        )

    return influence_run_config(budget, name, task, tuple(map(changed, config.team)), variants=config.variants)
