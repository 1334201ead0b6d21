"""The three budgets of the influence studies; every constant of their desk presets is here and nowhere else.

`paper` takes the published numbers of `training/presets/social_dilemmas.py`. `desk` takes small maps and views, fewer
agents, short episodes, PPO in place of A3C and a small network. Learning was tuned without influence, on training
seeds: in Cleanup until an agent learned to clean, in Harvest until agents harvested faster than apples grow back. The
weights of influence, in Cleanup the published ones, rise over the published fraction of a run (docs/influence.md). Box
Trapped, a preset of its own, was tuned too.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from rookery.agents.networks import JaquesNetwork
from rookery.learning.a2c import A2C
from rookery.studies.training_run import Budget
from rookery.tasks import registry
from rookery.training.config import GroupConfig, RunConfig, Variant
from rookery.training.presets import social_dilemmas as presets
from rookery.training.presets.social_dilemmas import SocialDilemmaName
from rookery.training.schedules import Schedule

if TYPE_CHECKING:
    from rookery.interfaces import IntrinsicReward, Learner

PUBLISHED_TIMESTEPS = 500e6
SMOKE_NUM_ENVS = 4


DESK_JAQUES = JaquesNetwork(encoder_size=64, hidden_size=64)
INFLUENCE_ENT_COEF: Schedule = ((0.0, 0.005), (0.5, 0.003), (1.0, 0.0005))
CHEAP_HITS: dict[str, Schedule] = {"hit_cost": ((0.0, 1.0), (0.3, 1.0), (0.4, 50.0))}
"""At first a hit costs little: random beams would hide the reward of apples, and agents would hardly react to each
other. Then it costs what is published."""


@dataclasses.dataclass(frozen=True)
class DeskPreset:
    """The settings in which the two games differ at `desk`."""

    total_timesteps: int  # per seed
    num_minibatches: int  # per update: four per pass
    learning_rate: Schedule
    env_schedules: dict[str, Schedule]
    influence_weights: dict[str, float] = dataclasses.field(default_factory=dict)
    """By method, in place of the published one; chosen on training seeds (docs/influence.md)."""


DESK_PRESETS: dict[SocialDilemmaName, DeskPreset] = {
    "cleanup": DeskPreset(
        total_timesteps=800_000,
        num_minibatches=16,
        learning_rate=((0.0, 1e-3), (0.7, 1e-3), (1.0, 2e-4)),
        # At first some apples grow although the river is still dirty, so that a little cleaning pays.
        env_schedules=CHEAP_HITS | {"depletion_threshold": ((0.0, 1.0), (0.35, 1.0), (0.75, 0.4))},
    ),
    "harvest": DeskPreset(
        total_timesteps=400_000,
        num_minibatches=8,
        learning_rate=((0.0, 2e-3), (0.7, 2e-3), (1.0, 2e-4)),
        env_schedules=CHEAP_HITS,
        influence_weights={"centralized": 67.2, "messages": 4_825.0, "moa": 504.2},
    ),
}

INFLUENCE_NUM_ENVS = 16  # per update
INFLUENCE_CHECKPOINT_INTERVAL = 25  # updates
HARVEST_NUM_AGENTS = 4  # the published number of influencers is three

DILEMMA_STEPS_PER_SECOND: dict[Budget, int] = {"desk": 3_800, "paper": 500}
BOX_TRAPPED_STEPS_PER_SECOND: dict[Budget, int] = {"desk": 6_000, "paper": 1_000}
"""Environment steps per second on one core of a Xeon. Box Trapped at `desk` was timed; the others are estimates from
it, by number of agents and the arithmetic of their networks. On one core of an AMD EPYC, Cleanup at `desk` makes 3,500
with eight teams side by side."""


def dilemma_task(budget: Budget, name: SocialDilemmaName) -> Any:
    """Cleanup or Harvest: the published task, or the small one of the registry; with 6 steps at `smoke`."""
    if budget == "paper":
        return registry.get_task(f"{name}-v0")
    task = registry.get_task(f"{name}-small-v0")
    if name == "harvest":
        task = dataclasses.replace(task, num_agents=HARVEST_NUM_AGENTS)
    return task if budget == "desk" else dataclasses.replace(task, max_steps=6, view_radius=1)


def box_trapped_task(budget: Budget) -> Any:
    """Box Trapped: the registered task at `paper`, with smaller views at `desk`."""
    if budget == "paper":
        return registry.get_task("box-trapped-v0")
    task = presets.box_trapped().task
    return task if budget == "desk" else dataclasses.replace(task, max_steps=6, view_radius=1)


def influence_network(budget: Budget) -> JaquesNetwork:
    """Every agent's network: the published one, that of `desk`, or a tiny one at `smoke`."""
    tiny = JaquesNetwork(filters=2, encoder_size=4, hidden_size=4)
    return {"paper": JaquesNetwork(), "desk": DESK_JAQUES, "smoke": tiny}[budget]


def influence_learner(
    budget: Budget, task: Any, intrinsic: tuple[IntrinsicReward, ...], desk: DeskPreset | None = None
) -> Learner:
    """A learner with these intrinsic rewards, whose weights rise over the published fraction of the run."""
    if budget == "paper":
        return A2C(sequence_length=50, num_minibatches=8, intrinsic=intrinsic)
    steps = desk.total_timesteps if desk and budget == "desk" else smoke_timesteps(task)
    intrinsic = tuple(
        dataclasses.replace(reward, warmup_steps=reward.warmup_steps * steps / PUBLISHED_TIMESTEPS)
        for reward in intrinsic
    )
    if desk and budget == "desk":
        return dataclasses.replace(
            presets.desktop_ppo(task, INFLUENCE_NUM_ENVS, intrinsic), num_minibatches=desk.num_minibatches
        )
    return A2C(sequence_length=task.max_steps, intrinsic=intrinsic)


def smoke_timesteps(task: Any) -> int:
    """Three updates."""
    return 3 * SMOKE_NUM_ENVS * task.max_steps


def influence_run_config(
    budget: Budget, name: str, task: Any, team: tuple[GroupConfig, ...], **changes: Any
) -> RunConfig:
    """A run in which all agents learn, without evaluation at checkpoints: alone there is no agent to influence."""
    sizes: dict[str, Any] = {"num_envs": INFLUENCE_NUM_ENVS, "checkpoint_interval": INFLUENCE_CHECKPOINT_INTERVAL}
    if budget == "paper":
        sizes |= {"total_timesteps": int(PUBLISHED_TIMESTEPS), "checkpoint_interval": 50}
    elif budget == "smoke":
        sizes |= {"total_timesteps": smoke_timesteps(task), "num_envs": SMOKE_NUM_ENVS, "checkpoint_interval": 2}
    return RunConfig(name=name, task=task, team=team, eval_episodes=0, **{**sizes, **changes})


def method_run_config(
    budget: Budget, name: str, game: SocialDilemmaName, method: str, variants: tuple[Variant, ...] = (Variant(),)
) -> RunConfig:
    """A published method in a game; at `paper` with its best published hyperparameters."""
    task, desk = dilemma_task(budget, game), DESK_PRESETS[game]
    schedules: dict[str, Any] = {"learning_rate": desk.learning_rate, "ent_coef": INFLUENCE_ENT_COEF}
    changes: dict[str, Any] = {"variants": variants}
    weights: dict[str, float] = {}
    if budget == "paper":
        schedules = published_hparams(game, method)
    elif budget == "desk":
        weights = desk.influence_weights
        changes |= {"total_timesteps": desk.total_timesteps, "env_schedules": desk.env_schedules}

    def make_learner(intrinsic):
        if method in weights:
            intrinsic = tuple(dataclasses.replace(reward, weight=weights[method]) for reward in intrinsic)
        return influence_learner(budget, task, intrinsic, desk)

    team = presets.make_team(method, game, task.num_agents, influence_network(budget), make_learner, **schedules)
    return influence_run_config(budget, name, task, team, **changes)


def published_hparams(game: SocialDilemmaName, method: str) -> dict[str, Any]:
    """Entropy weight and learning rate of a method, as in the paper's table."""
    ent_coef, initial_rate, final_rate = presets.PUBLISHED_HPARAMS[method][game]
    return {"learning_rate": ((0.0, initial_rate), (1.0, final_rate)), "ent_coef": ent_coef}


def box_trapped_run_config(budget: Budget, name: str) -> RunConfig:
    """Box Trapped: agent 0, free, acts first; agent 1, boxed in, observes its action. At `desk` it is the preset."""
    config = presets.box_trapped()
    if budget == "desk":
        return dataclasses.replace(config, name=name)
    task = box_trapped_task(budget)

    def changed(group: GroupConfig) -> GroupConfig:
        assert group.learner is not None, "every agent of Box Trapped learns"
        return dataclasses.replace(
            group,
            policy=dataclasses.replace(group.policy, network=influence_network(budget)),
            learner=influence_learner(budget, task, group.learner.intrinsic),
            **(published_hparams("cleanup", "centralized") if budget == "paper" else {}),
        )

    return influence_run_config(budget, name, task, tuple(map(changed, config.team)), variants=config.variants)
