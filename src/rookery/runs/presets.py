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
from rookery.runs.presets_dilemma import DILEMMAS
from rookery.runs.schedules import Schedule
from rookery.tasks import registry
from rookery.tasks.goal_cycle import GoalCycle
from rookery.world.spec import View

SYMBOLIC = View(kind="symbolic")
SMALL = LiteNetwork(width=64, memory_size=64, head=32)


def _solo(task: GoalCycle) -> GoalCycle:
    return dataclasses.replace(task, views=task.views[:1])


def _lite_ppo(task: GoalCycle, episodes: int, length: int = 25, **changes) -> PPO:
    """Four passes of four minibatches over sequences of `length` steps, memories refreshed every pass."""
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
    """Novices beside shipped experts, and the same alone: a few minutes on two cores.

    At first goals are hidden from novices, of either arm, and mistakes are cheap: only who follows somebody finds
    goals. Then the penalty rises, and then goals are shown. docs/recipe.md says how this was found.
    """
    task = registry.make("goal-cycle-demo-v0")
    novice_view = dataclasses.replace(SYMBOLIC, hide_goals=True)
    task = dataclasses.replace(task, views=(novice_view, *task.views[1:]), hide_share=0.0)
    return RunConfig(
        name="demo",
        task=task,
        team=(
            GroupConfig(
                name="novice",
                slots=(0,),
                policy=Recurrent(network=SMALL),
                learner=_lite_ppo(task, 128, minibatches=12, auxiliary=(NextFrame(weight=1.0),)),
                learning_rate=((0.0, 1.5e-3), (0.8, 1.5e-3), (1.0, 3e-4)),
                entropy=((0.0, 0.01), (0.4, 0.004), (0.8, 0.0005)),
            ),
            GroupConfig(name="expert", slots=(1, 2), policy=Frozen(source="goal-cycle-demo-expert")),
        ),
        arms=(Arm(name="social"), Arm(name="solo", social_share=0.0)),
        seeds=2,
        steps=3_200_000,
        episodes=128,
        task_schedules={
            "penalty": ((0.0, 0.3), (0.25, 0.3), (0.5, 1.0), (0.65, 1.0), (0.85, 1.5)),
            "hide_share": ((0.0, 1.0), (0.5, 1.0), (0.65, 0.0)),
        },
        checkpoint_every=20,
    )


def _expert_stage(
    name: str,
    task_id: str,
    *,
    steps: int,
    episodes: int,
    minibatches: int,
    learning_rate: Schedule,
    entropy: Schedule,
    penalty: Schedule | None = None,
    after: str | None = None,
    start: str | None = None,
    decay: float = 0.97,
    length: int = 25,
) -> RunConfig:
    """One stage of an expert's curriculum: an agent alone, going on from the stage before."""
    task = _solo(registry.make(task_id))
    start = f"runs/{after}/agents/main-seed0-expert-0.safetensors" if after else start
    return RunConfig(
        name=name,
        task=task,
        team=(
            GroupConfig(
                name="expert",
                slots=(0,),
                policy=Recurrent(network=LiteNetwork(), start=start),
                learner=_lite_ppo(task, episodes, length, minibatches=minibatches, decay=decay),
                learning_rate=learning_rate,
                entropy=entropy,
            ),
        ),
        steps=steps,
        episodes=episodes,
        task_schedules={} if penalty is None else {"penalty": penalty},
    )


def demo_expert_1() -> RunConfig:
    """The demo's expert, first stage: the penalty rises from 0.3 to 1.5. It gambles, and gives up when it loses."""
    return _expert_stage(
        "demo-expert-1", "goal-cycle-demo-v0", steps=9_000_000, episodes=256, minibatches=16,
        learning_rate=((0.0, 1e-3), (0.8, 1e-3), (1.0, 3e-4)), entropy=((0.0, 0.01), (0.8, 0.01), (1.0, 0.003)),
        penalty=((0.0, 0.3), (0.25, 0.3), (0.75, 1.5)),
    )  # fmt: skip


def demo_expert_2() -> RunConfig:
    """Second stage: more of the same at the full penalty."""
    return _expert_stage(
        "demo-expert-2", "goal-cycle-demo-v0", steps=3_200_000, episodes=128, minibatches=12,
        learning_rate=7e-4, entropy=((0.0, 0.006), (1.0, 0.00486)), penalty=1.5, after="demo-expert-1",
    )  # fmt: skip


def demo_expert_3() -> RunConfig:
    """Third stage: back to a low penalty, where it learns to go on after a mistake, and up again."""
    return _expert_stage(
        "demo-expert-3", "goal-cycle-demo-v0", steps=9_000_000, episodes=128, minibatches=8,
        learning_rate=((0.0, 1e-3), (0.6, 1e-3), (1.0, 1e-4)),
        entropy=((0.0, 0.02), (0.4, 0.012), (0.7, 0.005), (1.0, 0.0005)),
        penalty=((0.0, 0.3), (0.4, 0.3), (0.75, 1.5)), after="demo-expert-2",
    )  # fmt: skip


def expert_1() -> RunConfig:
    """An expert for the paper's 13×13 worlds, first stage: the penalty rises from 0.3 to 1.5."""
    return _expert_stage(
        "expert-1", "goal-cycle-symbolic-v0", steps=30_000_000, episodes=64, minibatches=8,
        learning_rate=((0.0, 1e-3), (0.7, 1e-3), (1.0, 1e-4)), entropy=((0.0, 0.02), (0.6, 0.01), (1.0, 0.001)),
        penalty=((0.0, 0.3), (0.2, 0.3), (0.75, 1.5)),
    )  # fmt: skip


def expert_2() -> RunConfig:
    """Second stage: from a middling penalty up again, with more randomness."""
    return _expert_stage(
        "expert-2", "goal-cycle-symbolic-v0", steps=9_600_000, episodes=64, minibatches=8,
        learning_rate=1e-3, entropy=((0.0, 0.02), (1.0, 0.0104)),
        penalty=((0.0, 0.5), (0.417, 0.5), (1.0, 1.122)), after="expert-1", decay=0.98,
    )  # fmt: skip


def expert_3() -> RunConfig:
    """Third stage: back to a low penalty, where it learns to go on after a mistake, and up again, less random."""
    return _expert_stage(
        "expert-3", "goal-cycle-symbolic-v0", steps=18_000_000, episodes=64, minibatches=8,
        learning_rate=((0.0, 1e-3), (0.6, 1e-3), (1.0, 1e-4)),
        entropy=((0.0, 0.004), (0.4, 0.003), (1.0, 0.0003)),
        penalty=((0.0, 0.3), (0.4, 0.3), (0.8, 1.5)), after="expert-2",
    )  # fmt: skip


def expert_4() -> RunConfig:
    """Fourth stage: down and up once more."""
    return _expert_stage(
        "expert-4", "goal-cycle-symbolic-v0", steps=12_000_000, episodes=64, minibatches=8,
        learning_rate=((0.0, 1e-3), (0.6, 1e-3), (1.0, 1e-4)),
        entropy=((0.0, 0.006), (0.35, 0.003), (1.0, 0.0003)),
        penalty=((0.0, 0.3), (0.35, 0.3), (0.6, 1.5)), after="expert-3",
    )  # fmt: skip


def expert_5() -> RunConfig:
    """Fifth stage: larger batches, and a penalty that overshoots to 2, which makes it careful."""
    return _expert_stage(
        "expert-5", "goal-cycle-symbolic-v0", steps=11_000_000, episodes=128, minibatches=8,
        learning_rate=((0.0, 8e-4), (0.6, 8e-4), (1.0, 5e-5)),
        entropy=((0.0, 0.005), (0.4, 0.002), (1.0, 0.0002)),
        penalty=((0.0, 0.75), (0.3, 1.5), (0.5, 2.0), (1.0, 2.0)), after="expert-4",
    )  # fmt: skip


def expert_6() -> RunConfig:
    """Sixth stage: down and up again, slower, and held longer at the full penalty."""
    return _expert_stage(
        "expert-6", "goal-cycle-symbolic-v0", steps=30_000_000, episodes=128, minibatches=8,
        learning_rate=((0.0, 8e-4), (0.5, 8e-4), (1.0, 3e-5)),
        entropy=((0.0, 0.005), (0.35, 0.002), (1.0, 0.0001)),
        penalty=((0.0, 0.3), (0.3, 0.3), (0.6, 1.5)), after="expert-5",
    )  # fmt: skip


def expert_7() -> RunConfig:
    """Seventh stage: gradients through half an episode at once, so that memory of the order is taught."""
    return _expert_stage(
        "expert-7", "goal-cycle-symbolic-v0", steps=9_600_000, episodes=128, minibatches=8, length=125,
        learning_rate=((0.0, 6e-4), (0.4, 6e-4), (1.0, 2e-5)),
        entropy=((0.0, 0.002), (0.5, 0.0005), (1.0, 0.0001)),
        penalty=((0.0, 1.0), (0.3, 1.5), (0.5, 1.75), (0.8, 1.5)), after="expert-6",
    )  # fmt: skip


def expert_8() -> RunConfig:
    """Eighth stage: down and up once more, now with gradients through half an episode all the way."""
    return _expert_stage(
        "expert-8", "goal-cycle-symbolic-v0", steps=20_000_000, episodes=128, minibatches=8, length=125,
        learning_rate=((0.0, 8e-4), (0.5, 8e-4), (1.0, 2e-5)),
        entropy=((0.0, 0.004), (0.4, 0.001), (1.0, 0.0001)),
        penalty=((0.0, 0.3), (0.3, 0.3), (0.6, 1.5), (0.7, 1.75), (0.9, 1.5)), after="expert-7",
    )  # fmt: skip


def _taught(run: RunConfig, *, teaching: Schedule, heeding: Schedule) -> RunConfig:
    """The same stage with the scripted expert as a teacher."""
    (group,) = run.team
    assert isinstance(group.learner, PPO)
    learner = dataclasses.replace(group.learner, teacher="map")
    taught = dataclasses.replace(group, learner=learner, rates={"teaching": teaching, "heeding": heeding})
    return dataclasses.replace(run, team=(taught,))


def _four_goals(name: str, **stage) -> RunConfig:
    """A stage in the demo's world with four goals."""
    run = _expert_stage(name, "goal-cycle-demo-v0", episodes=128, minibatches=16, length=125, penalty=1.5, **stage)
    return dataclasses.replace(run, task=dataclasses.replace(run.task, goals=4))


def four_goals_1() -> RunConfig:
    """An expert for four goals, first stage: imitation where it gets to by itself, less and less led by the hand.

    It goes on from a clone of the same expert:
    `rookery clone --task goal-cycle-demo-v0 --set goals=4 --expert scripted --episodes 6000 --alone
    --out runs/four-goals-clone learner.epochs=16 learner.episodes=32`.
    """
    stage = _four_goals(
        "four-goals-1", steps=8_000_000, start="runs/four-goals-clone/agents/main-seed0-clone-0.safetensors",
        learning_rate=((0.0, 1e-5), (0.01, 5e-4), (0.7, 5e-4), (1.0, 3e-5)), entropy=0.0,
    )  # fmt: skip
    return _taught(stage, teaching=100.0, heeding=((0.0, 0.7), (0.1, 0.6), (0.8, 0.0)))


def four_goals_2() -> RunConfig:
    """Second stage: on its own feet, in smaller steps. It came to 10.2 an episode, the scripted expert to 16.6."""
    stage = _four_goals(
        "four-goals-2", steps=8_000_000, after="four-goals-1",
        learning_rate=((0.0, 1e-5), (0.02, 2e-4), (0.5, 1.5e-4), (1.0, 1e-5)), entropy=0.0,
    )  # fmt: skip
    return _taught(stage, teaching=100.0, heeding=0.0)


def expert_paper() -> RunConfig:
    """The paper's network as an expert: it sees pixels and learns the policy of the small expert, who sees symbols.

    That one has been through the whole curriculum, 140 million steps; by reward alone the paper's network would need
    days of a CPU for as many.
    """
    task = _solo(registry.make("goal-cycle-v0"))
    sequences = 5 * 64 // 8  # an eighth of a batch
    return RunConfig(
        name="expert-paper",
        task=task,
        team=(
            GroupConfig(
                name="expert",
                slots=(0,),
                policy=Recurrent(network=PaperNetwork()),
                learner=_lite_ppo(
                    task, 64, 50, minibatches=16, refresh_every=8, sequences=sequences, teacher="goal-cycle-lite-expert"
                ),
                learning_rate=((0.0, 1e-5), (0.005, 7e-4), (0.5, 7e-4), (1.0, 3e-5)),
                entropy=0.0,
                rates={"teaching": 100.0, "heeding": ((0.0, 0.6), (0.3, 0.2), (0.5, 0.0))},
            ),
        ),
        steps=9_000_000,
        episodes=64,
        task_schedules={"penalty": 1.5},
        checkpoint_every=20,
    )


def expert_four_rooms() -> RunConfig:
    """An expert for four rooms, from the one for Goal Cycle, which knows how to walk."""
    return _expert_stage(
        "expert-four-rooms", "four-rooms-symbolic-v0", steps=3_200_000, episodes=128, minibatches=8,
        learning_rate=((0.0, 8e-4), (0.5, 8e-4), (1.0, 3e-5)), entropy=((0.0, 0.005), (1.0, 0.0001)),
        after="expert-7", length=125,
    )  # fmt: skip


def expert_four_rooms_2() -> RunConfig:
    """Second stage: more of the same, with more randomness at first."""
    return _expert_stage(
        "expert-four-rooms-2", "four-rooms-symbolic-v0", steps=12_000_000, episodes=128, minibatches=8,
        learning_rate=((0.0, 8e-4), (0.5, 8e-4), (1.0, 3e-5)), entropy=((0.0, 0.01), (0.5, 0.003), (1.0, 0.0001)),
        after="expert-four-rooms", length=125,
    )  # fmt: skip


def expert_maze() -> RunConfig:
    """An expert for mazes, likewise."""
    return _expert_stage(
        "expert-maze", "maze-symbolic-v0", steps=4_800_000, episodes=128, minibatches=8,
        learning_rate=((0.0, 8e-4), (0.5, 8e-4), (1.0, 3e-5)), entropy=((0.0, 0.005), (1.0, 0.0001)),
        after="expert-7", length=125,
    )  # fmt: skip


def lite() -> RunConfig:
    """The demo's recipe in the paper's 13×13 worlds, beside lite experts. Untested at length."""
    base, task = demo(), registry.make("goal-cycle-symbolic-v0")
    task = dataclasses.replace(task, views=(base.task.views[0], *task.views[1:]), hide_share=0.0)
    novice, experts = base.team
    return dataclasses.replace(
        base,
        name="lite",
        task=task,
        team=(
            dataclasses.replace(
                novice,
                policy=Recurrent(network=LiteNetwork()),
                learner=_lite_ppo(task, 128, minibatches=12, auxiliary=(NextFrame(weight=1.0),)),
            ),
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
    "demo-expert-1": demo_expert_1,
    "demo-expert-2": demo_expert_2,
    "demo-expert-3": demo_expert_3,
    "expert-1": expert_1,
    "expert-2": expert_2,
    "expert-3": expert_3,
    "expert-4": expert_4,
    "expert-5": expert_5,
    "expert-6": expert_6,
    "expert-7": expert_7,
    "expert-8": expert_8,
    "four-goals-1": four_goals_1,
    "four-goals-2": four_goals_2,
    "expert-paper": expert_paper,
    "expert-four-rooms": expert_four_rooms,
    "expert-four-rooms-2": expert_four_rooms_2,
    "expert-maze": expert_maze,
    "lite": lite,
    "paper": paper,
    "smoke": smoke,
    **DILEMMAS,
}


def preset(name: str) -> RunConfig:
    """A configuration by name. Raises MissingError, offering the nearest."""
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, 3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise MissingError(f"no preset {name!r}; {hint}there are: {', '.join(PRESETS)}")
    return PRESETS[name]()
