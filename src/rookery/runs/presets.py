"""Ready-made configurations, each a place to start from: `rookery train NAME key=value ...` changes any of it."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable

from rookery.agents.networks import LiteNetwork, PaperNetwork
from rookery.errors import MissingError
from rookery.learning.auxiliary import NextFrame
from rookery.learning.ppo import PPO
from rookery.runs.config import Arm, Frozen, GroupConfig, Recurrent, RunConfig, Scripted
from rookery.runs.schedules import Schedule
from rookery.tasks import registry
from rookery.tasks.goal_cycle import GoalCycle
from rookery.world.spec import View

SYMBOLIC = View(kind="symbolic")
SMALL = LiteNetwork(width=64, memory_size=64, head=32)


def _solo(task: GoalCycle) -> GoalCycle:
    return dataclasses.replace(task, views=task.views[:1])


def _lite_ppo(task: GoalCycle, episodes: int, **changes) -> PPO:
    """Four passes of four minibatches over sequences of 25 steps, memories refreshed every pass."""
    length = 25
    settings = {
        "sequence_length": length,
        "minibatches": 16,
        "sequences": -(-task.max_steps // length) * episodes // 4,
        "refresh_every": 4,
        "value_weight": 0.5,
        "kl_stop": None,
        "kl_limit": None,
        "max_gradient_norm": 0.5,
        "adam_epsilon": 1e-5,
    }
    return PPO(**{**settings, **changes})


def demo() -> RunConfig:
    """Novices beside shipped experts, and the same alone: a few minutes on two cores."""
    task = registry.make("goal-cycle-demo-v0")
    return RunConfig(
        name="demo",
        task=task,
        team=(
            GroupConfig(
                name="novice",
                slots=(0,),
                policy=Recurrent(network=SMALL),
                learner=_lite_ppo(task, 256, auxiliary=(NextFrame(weight=1.0),)),
                learning_rate=((0.0, 2e-3), (0.8, 2e-3), (1.0, 5e-4)),
                entropy=((0.0, 0.01), (1.0, 0.001)),
            ),
            GroupConfig(name="expert", slots=(1, 2), policy=Frozen(source="goal-cycle-demo-expert")),
        ),
        arms=(Arm(name="social"), Arm(name="solo", social_share=0.0)),
        seeds=2,
        steps=1_500_000,
        episodes=256,
        task_schedules={"penalty": ((0.0, 0.3), (0.2, 0.3), (0.7, 1.5))},
        checkpoint_every=12,
    )


def demo_expert() -> RunConfig:
    """The demo's experts: one agent alone, the penalty rising from 0.3 to 1.5."""
    task = _solo(registry.make("goal-cycle-demo-v0"))
    return RunConfig(
        name="demo-expert",
        task=task,
        team=(_solo_learner(task, 256, lr=((0.0, 1e-3), (0.8, 1e-3), (1.0, 3e-4)), entropy=((0.0, 0.01), (0.8, 0.01), (1.0, 0.003))),),
        steps=9_000_000,
        episodes=256,
        task_schedules={"penalty": ((0.0, 0.3), (0.25, 0.3), (0.75, 1.5))},
    )


def _solo_learner(task: GoalCycle, episodes: int, lr: Schedule, entropy: Schedule, start: str | None = None) -> GroupConfig:
    return GroupConfig(
        name="expert",
        slots=(0,),
        policy=Recurrent(network=LiteNetwork(), start=start),
        learner=_lite_ppo(task, episodes),
        learning_rate=lr,
        entropy=entropy,
    )


def expert() -> RunConfig:
    """An expert for the paper's 13×13 worlds seen as channels, going on from the demo's expert."""
    task = _solo(registry.make("goal-cycle-symbolic-v0"))
    return RunConfig(
        name="expert",
        task=task,
        team=(_solo_learner(task, 128, lr=((0.0, 7e-4), (1.0, 2e-4)), entropy=0.003, start="goal-cycle-demo-expert"),),
        steps=20_000_000,
        task_schedules={"penalty": 1.5},
    )


def lite() -> RunConfig:
    """The demo's recipe in the paper's 13×13 worlds, beside lite experts."""
    base, task = demo(), registry.make("goal-cycle-symbolic-v0")
    novice, experts = base.team
    return dataclasses.replace(
        base,
        name="lite",
        task=task,
        team=(
            dataclasses.replace(novice, policy=Recurrent(network=LiteNetwork()), learner=_lite_ppo(task, 128, auxiliary=(NextFrame(weight=1.0),))),
            dataclasses.replace(experts, policy=Frozen(source="goal-cycle-lite-expert")),
        ),
        seeds=1,
        steps=10_000_000,
        episodes=128,
    )


def paper() -> RunConfig:
    """The published hyperparameters to the letter, beside scripted experts: 375 million steps."""
    return RunConfig(
        name="paper",
        task=registry.make("goal-cycle-v0"),
        team=(
            GroupConfig(
                name="novice",
                slots=(0,),
                policy=Recurrent(network=PaperNetwork()),
                learner=PPO(auxiliary=(NextFrame(weight=3.0),)),
            ),
            GroupConfig(name="expert", slots=(1, 2), policy=Scripted()),
        ),
        steps=375_000_000,
        checkpoint_every=50,
    )


def smoke() -> RunConfig:
    """Seconds: proves that everything connects, claims nothing."""
    task = dataclasses.replace(
        registry.make("goal-cycle-demo-v0"), height=7, width=7, obstacles=1, max_steps=20, views=(SYMBOLIC,) * 2
    )
    return RunConfig(
        name="smoke",
        task=task,
        team=(
            GroupConfig(
                name="novice",
                slots=(0,),
                policy=Recurrent(network=LiteNetwork(width=8, memory_size=8, head=8)),
                learner=_lite_ppo(task, 16, minibatches=4, refresh_every=2, auxiliary=(NextFrame(weight=1.0),)),
                learning_rate=1e-3,
            ),
            GroupConfig(name="expert", slots=(1,), policy=Scripted()),
        ),
        arms=(Arm(name="social"), Arm(name="solo", social_share=0.0)),
        steps=20 * 16 * 6,
        episodes=16,
        checkpoint_every=2,
        evaluation_episodes=8,
    )


PRESETS: dict[str, Callable[[], RunConfig]] = {
    "demo": demo,
    "demo-expert": demo_expert,
    "expert": expert,
    "lite": lite,
    "paper": paper,
    "smoke": smoke,
}


def preset(name: str) -> RunConfig:
    """A configuration by name. Raises MissingError, offering the nearest."""
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, 3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise MissingError(f"no preset {name!r}; {hint}there are: {', '.join(PRESETS)}")
    return PRESETS[name]()
