"""Ready-made configurations, each a place to start from: `rookery train NAME key=value ...` changes any of it."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable

from rookery.agents.networks import MLPNetwork, NdousseNetwork
from rookery.errors import NotFoundError
from rookery.gridworld.spec import ViewConfig
from rookery.learning.auxiliary import NextFramePrediction
from rookery.learning.ppo import PPO
from rookery.tasks import registry
from rookery.tasks.goal_cycle import GoalCycle
from rookery.training.config import (
    FrozenPolicyConfig,
    GroupConfig,
    RecurrentPolicyConfig,
    RunConfig,
    ScriptedPolicyConfig,
    Variant,
)
from rookery.training.presets_dilemma import SOCIAL_DILEMMA_PRESETS
from rookery.training.schedules import Schedule

PRESET_VIEW = ViewConfig(observation_type="symbolic")
SMALL_MLP = MLPNetwork(encoder_size=64, hidden_size=64, head_size=32)


def _solo_task(task: GoalCycle) -> GoalCycle:
    return dataclasses.replace(task, views=task.views[:1])


def _desktop_ppo(task: GoalCycle, num_envs: int, sequence_length: int = 25, **changes) -> PPO:
    """Four passes of four minibatches over sequences of `length` steps, memories refreshed every pass."""
    settings = {
        "sequence_length": sequence_length,
        "num_minibatches": 16,
        "minibatch_size": -(-task.max_steps // sequence_length) * num_envs // 4,
        "recompute_every": 4,
        "vf_coef": 0.5,
        "target_kl": None,
        "rollback_kl": None,
        "max_grad_norm": 0.5,
        "adam_eps": 1e-5,
    }
    return PPO(**{**settings, **changes})


def demo() -> RunConfig:
    """Novices beside shipped experts, and the same alone: a few minutes on two cores.

    At first goals are hidden from novices, of either arm, and mistakes are cheap: only who follows somebody finds
    goals. Then the penalty rises, and then goals are shown. docs/recipe.md says how this was found.
    """
    task = registry.get_task("goal-cycle-demo-v0")
    novice_view = dataclasses.replace(PRESET_VIEW, can_hide_goals=True)
    task = dataclasses.replace(task, views=(novice_view, *task.views[1:]), goal_hiding_prob=0.0)
    return RunConfig(
        name="demo",
        task=task,
        team=(
            GroupConfig(
                name="novice",
                slots=(0,),
                policy=RecurrentPolicyConfig(network=SMALL_MLP),
                learner=_desktop_ppo(task, 128, num_minibatches=12, auxiliary=(NextFramePrediction(weight=1.0),)),
                learning_rate=((0.0, 1.5e-3), (0.8, 1.5e-3), (1.0, 3e-4)),
                ent_coef=((0.0, 0.01), (0.4, 0.004), (0.8, 0.0005)),
            ),
            GroupConfig(name="expert", slots=(1, 2), policy=FrozenPolicyConfig(checkpoint="goal-cycle-demo-expert")),
        ),
        variants=(Variant(name="social"), Variant(name="solo", social_episode_prob=0.0)),
        num_seeds=2,
        total_timesteps=3_200_000,
        num_envs=128,
        env_schedules={
            "penalty": ((0.0, 0.3), (0.25, 0.3), (0.5, 1.0), (0.65, 1.0), (0.85, 1.5)),
            "goal_hiding_prob": ((0.0, 1.0), (0.5, 1.0), (0.65, 0.0)),
        },
        checkpoint_interval=20,
    )


def _expert_stage(
    name: str,
    task_id: str,
    *,
    total_timesteps: int,
    num_envs: int,
    num_minibatches: int,
    learning_rate: Schedule,
    ent_coef: Schedule,
    penalty: Schedule | None = None,
    previous_stage: str | None = None,
    init_from: str | None = None,
    gae_lambda: float = 0.97,
    sequence_length: int = 25,
) -> RunConfig:
    """One stage of an expert's curriculum: an agent alone, going on from the stage before."""
    task = _solo_task(registry.get_task(task_id))
    init_from = f"runs/{previous_stage}/agents/main-seed0-expert-0.safetensors" if previous_stage else init_from
    return RunConfig(
        name=name,
        task=task,
        team=(
            GroupConfig(
                name="expert",
                slots=(0,),
                policy=RecurrentPolicyConfig(network=MLPNetwork(), init_from=init_from),
                learner=_desktop_ppo(
                    task, num_envs, sequence_length, num_minibatches=num_minibatches, gae_lambda=gae_lambda
                ),
                learning_rate=learning_rate,
                ent_coef=ent_coef,
            ),
        ),
        total_timesteps=total_timesteps,
        num_envs=num_envs,
        env_schedules={} if penalty is None else {"penalty": penalty},
    )


def demo_expert_1() -> RunConfig:
    """The demo's expert, first stage: the penalty rises from 0.3 to 1.5. It gambles, and gives up when it loses."""
    return _expert_stage(
        "demo-expert-1", "goal-cycle-demo-v0", total_timesteps=9_000_000, num_envs=256, num_minibatches=16,
        learning_rate=((0.0, 1e-3), (0.8, 1e-3), (1.0, 3e-4)), ent_coef=((0.0, 0.01), (0.8, 0.01), (1.0, 0.003)),
        penalty=((0.0, 0.3), (0.25, 0.3), (0.75, 1.5)),
    )  # fmt: skip


def demo_expert_2() -> RunConfig:
    """Second stage: more of the same at the full penalty."""
    return _expert_stage(
        "demo-expert-2", "goal-cycle-demo-v0", total_timesteps=3_200_000, num_envs=128, num_minibatches=12,
        learning_rate=7e-4, ent_coef=((0.0, 0.006), (1.0, 0.00486)), penalty=1.5, previous_stage="demo-expert-1",
    )  # fmt: skip


def demo_expert_3() -> RunConfig:
    """Third stage: back to a low penalty, where it learns to go on after a mistake, and up again."""
    return _expert_stage(
        "demo-expert-3", "goal-cycle-demo-v0", total_timesteps=9_000_000, num_envs=128, num_minibatches=8,
        learning_rate=((0.0, 1e-3), (0.6, 1e-3), (1.0, 1e-4)),
        ent_coef=((0.0, 0.02), (0.4, 0.012), (0.7, 0.005), (1.0, 0.0005)),
        penalty=((0.0, 0.3), (0.4, 0.3), (0.75, 1.5)), previous_stage="demo-expert-2",
    )  # fmt: skip


def expert_1() -> RunConfig:
    """An expert for the paper's 13×13 worlds, first stage: the penalty rises from 0.3 to 1.5."""
    return _expert_stage(
        "expert-1", "goal-cycle-symbolic-v0", total_timesteps=30_000_000, num_envs=64, num_minibatches=8,
        learning_rate=((0.0, 1e-3), (0.7, 1e-3), (1.0, 1e-4)), ent_coef=((0.0, 0.02), (0.6, 0.01), (1.0, 0.001)),
        penalty=((0.0, 0.3), (0.2, 0.3), (0.75, 1.5)),
    )  # fmt: skip


def expert_2() -> RunConfig:
    """Second stage: from a middling penalty up again, with more randomness."""
    return _expert_stage(
        "expert-2", "goal-cycle-symbolic-v0", total_timesteps=9_600_000, num_envs=64, num_minibatches=8,
        learning_rate=1e-3, ent_coef=((0.0, 0.02), (1.0, 0.0104)),
        penalty=((0.0, 0.5), (0.417, 0.5), (1.0, 1.122)), previous_stage="expert-1", gae_lambda=0.98,
    )  # fmt: skip


def expert_3() -> RunConfig:
    """Third stage: back to a low penalty, where it learns to go on after a mistake, and up again, less random."""
    return _expert_stage(
        "expert-3", "goal-cycle-symbolic-v0", total_timesteps=18_000_000, num_envs=64, num_minibatches=8,
        learning_rate=((0.0, 1e-3), (0.6, 1e-3), (1.0, 1e-4)),
        ent_coef=((0.0, 0.004), (0.4, 0.003), (1.0, 0.0003)),
        penalty=((0.0, 0.3), (0.4, 0.3), (0.8, 1.5)), previous_stage="expert-2",
    )  # fmt: skip


def expert_4() -> RunConfig:
    """Fourth stage: down and up once more."""
    return _expert_stage(
        "expert-4", "goal-cycle-symbolic-v0", total_timesteps=12_000_000, num_envs=64, num_minibatches=8,
        learning_rate=((0.0, 1e-3), (0.6, 1e-3), (1.0, 1e-4)),
        ent_coef=((0.0, 0.006), (0.35, 0.003), (1.0, 0.0003)),
        penalty=((0.0, 0.3), (0.35, 0.3), (0.6, 1.5)), previous_stage="expert-3",
    )  # fmt: skip


def expert_5() -> RunConfig:
    """Fifth stage: larger batches, and a penalty that overshoots to 2, which makes it careful."""
    return _expert_stage(
        "expert-5", "goal-cycle-symbolic-v0", total_timesteps=11_000_000, num_envs=128, num_minibatches=8,
        learning_rate=((0.0, 8e-4), (0.6, 8e-4), (1.0, 5e-5)),
        ent_coef=((0.0, 0.005), (0.4, 0.002), (1.0, 0.0002)),
        penalty=((0.0, 0.75), (0.3, 1.5), (0.5, 2.0), (1.0, 2.0)), previous_stage="expert-4",
    )  # fmt: skip


def expert_6() -> RunConfig:
    """Sixth stage: down and up again, slower, and held longer at the full penalty."""
    return _expert_stage(
        "expert-6", "goal-cycle-symbolic-v0", total_timesteps=30_000_000, num_envs=128, num_minibatches=8,
        learning_rate=((0.0, 8e-4), (0.5, 8e-4), (1.0, 3e-5)),
        ent_coef=((0.0, 0.005), (0.35, 0.002), (1.0, 0.0001)),
        penalty=((0.0, 0.3), (0.3, 0.3), (0.6, 1.5)), previous_stage="expert-5",
    )  # fmt: skip


def expert_7() -> RunConfig:
    """Seventh stage: gradients through half an episode at once, so that memory of the order is taught."""
    return _expert_stage(
        "expert-7", "goal-cycle-symbolic-v0", total_timesteps=9_600_000, num_envs=128, num_minibatches=8, sequence_length=125,
        learning_rate=((0.0, 6e-4), (0.4, 6e-4), (1.0, 2e-5)),
        ent_coef=((0.0, 0.002), (0.5, 0.0005), (1.0, 0.0001)),
        penalty=((0.0, 1.0), (0.3, 1.5), (0.5, 1.75), (0.8, 1.5)), previous_stage="expert-6",
    )  # fmt: skip


def expert_8() -> RunConfig:
    """Eighth stage: down and up once more, now with gradients through half an episode all the way."""
    return _expert_stage(
        "expert-8", "goal-cycle-symbolic-v0", total_timesteps=20_000_000, num_envs=128, num_minibatches=8, sequence_length=125,
        learning_rate=((0.0, 8e-4), (0.5, 8e-4), (1.0, 2e-5)),
        ent_coef=((0.0, 0.004), (0.4, 0.001), (1.0, 0.0001)),
        penalty=((0.0, 0.3), (0.3, 0.3), (0.6, 1.5), (0.7, 1.75), (0.9, 1.5)), previous_stage="expert-7",
    )  # fmt: skip


def _with_teacher(run: RunConfig, *, distill_coef: Schedule, teacher_action_prob: Schedule) -> RunConfig:
    """The same stage with the scripted expert as a teacher."""
    (group,) = run.team
    assert isinstance(group.learner, PPO)
    learner = dataclasses.replace(group.learner, teacher="scripted")
    taught = dataclasses.replace(
        group, learner=learner, hparams={"distill_coef": distill_coef, "teacher_action_prob": teacher_action_prob}
    )
    return dataclasses.replace(run, team=(taught,))


def _four_goals(name: str, **stage) -> RunConfig:
    """A stage in the demo's world with four goals."""
    run = _expert_stage(
        name, "goal-cycle-demo-v0", num_envs=128, num_minibatches=16, sequence_length=125, penalty=1.5, **stage
    )
    return dataclasses.replace(run, task=dataclasses.replace(run.task, num_goals=4))


def four_goals_1() -> RunConfig:
    """An expert for four goals, first stage: imitation where it gets to by itself, less and less led by the hand.

    It goes on from a clone of the same expert:
    `rookery clone --task goal-cycle-demo-v0 --task-overrides num_goals=4 --expert scripted --episodes 6000 --solo
    --out runs/four-goals-clone learner.epochs=16 learner.minibatch_size=32`.
    """
    stage = _four_goals(
        "four-goals-1", total_timesteps=8_000_000, init_from="runs/four-goals-clone/agents/main-seed0-clone-0.safetensors",
        learning_rate=((0.0, 1e-5), (0.01, 5e-4), (0.7, 5e-4), (1.0, 3e-5)), ent_coef=0.0,
    )  # fmt: skip
    return _with_teacher(stage, distill_coef=100.0, teacher_action_prob=((0.0, 0.7), (0.1, 0.6), (0.8, 0.0)))


def four_goals_2() -> RunConfig:
    """Second stage: on its own feet, in smaller steps. It came to 10.2 an episode, the scripted expert to 16.6."""
    stage = _four_goals(
        "four-goals-2", total_timesteps=8_000_000, previous_stage="four-goals-1",
        learning_rate=((0.0, 1e-5), (0.02, 2e-4), (0.5, 1.5e-4), (1.0, 1e-5)), ent_coef=0.0,
    )  # fmt: skip
    return _with_teacher(stage, distill_coef=100.0, teacher_action_prob=0.0)


def expert_paper() -> RunConfig:
    """The paper's network as an expert: it sees pixels and learns the policy of the small expert, who sees symbols.

    That one has been through the whole curriculum, 140 million steps; by reward alone the paper's network would need
    days of a CPU for as many.
    """
    task = _solo_task(registry.get_task("goal-cycle-v0"))
    sequences = 5 * 64 // 8  # an eighth of a batch
    return RunConfig(
        name="expert-paper",
        task=task,
        team=(
            GroupConfig(
                name="expert",
                slots=(0,),
                policy=RecurrentPolicyConfig(network=NdousseNetwork()),
                learner=_desktop_ppo(
                    task,
                    64,
                    50,
                    num_minibatches=16,
                    recompute_every=8,
                    minibatch_size=sequences,
                    teacher="goal-cycle-lite-expert",
                ),
                learning_rate=((0.0, 1e-5), (0.005, 7e-4), (0.5, 7e-4), (1.0, 3e-5)),
                ent_coef=0.0,
                hparams={"distill_coef": 100.0, "teacher_action_prob": ((0.0, 0.6), (0.3, 0.2), (0.5, 0.0))},
            ),
        ),
        total_timesteps=9_000_000,
        num_envs=64,
        env_schedules={"penalty": 1.5},
        checkpoint_interval=20,
    )


def expert_four_rooms() -> RunConfig:
    """An expert for four rooms, from the one for Goal Cycle, which knows how to walk."""
    return _expert_stage(
        "expert-four-rooms", "four-rooms-symbolic-v0", total_timesteps=3_200_000, num_envs=128, num_minibatches=8,
        learning_rate=((0.0, 8e-4), (0.5, 8e-4), (1.0, 3e-5)), ent_coef=((0.0, 0.005), (1.0, 0.0001)),
        previous_stage="expert-7", sequence_length=125,
    )  # fmt: skip


def expert_four_rooms_2() -> RunConfig:
    """Second stage: more of the same, with more randomness at first."""
    return _expert_stage(
        "expert-four-rooms-2", "four-rooms-symbolic-v0", total_timesteps=12_000_000, num_envs=128, num_minibatches=8,
        learning_rate=((0.0, 8e-4), (0.5, 8e-4), (1.0, 3e-5)), ent_coef=((0.0, 0.01), (0.5, 0.003), (1.0, 0.0001)),
        previous_stage="expert-four-rooms", sequence_length=125,
    )  # fmt: skip


def expert_maze() -> RunConfig:
    """An expert for mazes, likewise."""
    return _expert_stage(
        "expert-maze", "maze-symbolic-v0", total_timesteps=4_800_000, num_envs=128, num_minibatches=8,
        learning_rate=((0.0, 8e-4), (0.5, 8e-4), (1.0, 3e-5)), ent_coef=((0.0, 0.005), (1.0, 0.0001)),
        previous_stage="expert-7", sequence_length=125,
    )  # fmt: skip


def lite() -> RunConfig:
    """The demo's recipe in the paper's 13×13 worlds, beside lite experts. Untested at length."""
    base, task = demo(), registry.get_task("goal-cycle-symbolic-v0")
    task = dataclasses.replace(task, views=(base.task.views[0], *task.views[1:]), goal_hiding_prob=0.0)
    novice, experts = base.team
    return dataclasses.replace(
        base,
        name="lite",
        task=task,
        team=(
            dataclasses.replace(
                novice,
                policy=RecurrentPolicyConfig(network=MLPNetwork()),
                learner=_desktop_ppo(task, 128, num_minibatches=12, auxiliary=(NextFramePrediction(weight=1.0),)),
            ),
            dataclasses.replace(experts, policy=FrozenPolicyConfig(checkpoint="goal-cycle-lite-expert")),
        ),
        num_seeds=1,
        total_timesteps=10_000_000,
        num_envs=128,
    )


def paper() -> RunConfig:
    """The published hyperparameters to the letter, beside scripted experts: 375 million steps."""
    return RunConfig(
        name="paper",
        task=registry.get_task("goal-cycle-v0"),
        team=(
            GroupConfig(
                name="novice",
                slots=(0,),
                policy=RecurrentPolicyConfig(network=NdousseNetwork()),
                learner=PPO(auxiliary=(NextFramePrediction(weight=3.0),)),
            ),
            GroupConfig(name="expert", slots=(1, 2), policy=ScriptedPolicyConfig()),
        ),
        total_timesteps=375_000_000,
        checkpoint_interval=50,
    )


def smoke() -> RunConfig:
    """Seconds: proves that everything connects, claims nothing."""
    task = dataclasses.replace(
        registry.get_task("goal-cycle-demo-v0"),
        height=7,
        width=7,
        num_obstacles=1,
        max_steps=20,
        views=(PRESET_VIEW,) * 2,
    )
    return RunConfig(
        name="smoke",
        task=task,
        team=(
            GroupConfig(
                name="novice",
                slots=(0,),
                policy=RecurrentPolicyConfig(network=MLPNetwork(encoder_size=8, hidden_size=8, head_size=8)),
                learner=_desktop_ppo(
                    task, 16, num_minibatches=4, recompute_every=2, auxiliary=(NextFramePrediction(weight=1.0),)
                ),
                learning_rate=1e-3,
            ),
            GroupConfig(name="expert", slots=(1,), policy=ScriptedPolicyConfig()),
        ),
        variants=(Variant(name="social"), Variant(name="solo", social_episode_prob=0.0)),
        total_timesteps=20 * 16 * 6,
        num_envs=16,
        checkpoint_interval=2,
        eval_episodes=8,
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
    **SOCIAL_DILEMMA_PRESETS,
}


def preset(name: str) -> RunConfig:
    """A configuration by name. Raises MissingError, offering the nearest."""
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, 3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise NotFoundError(f"no preset {name!r}; {hint}there are: {', '.join(PRESETS)}")
    return PRESETS[name]()
