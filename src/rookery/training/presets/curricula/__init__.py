"""Curricula: experts trained in several stages. Each JSON file here is one curriculum, each stage in it a preset."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

from rookery.agents.networks import MLPNetwork
from rookery.storage.serialization import from_dict, load_json
from rookery.tasks import registry
from rookery.training.config import GroupConfig, RecurrentPolicyConfig, RunConfig
from rookery.training.presets.goal_cycle_presets import desktop_learner
from rookery.training.schedules import Schedule

CURRICULA = ("demo-expert", "expert", "four-goals", "expert-four-rooms", "expert-maze")
"""Names of the files, in the order in which presets are listed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """One run of a curriculum, in which a single agent learns."""

    preset: str
    description: str
    total_timesteps: int
    num_envs: int
    num_minibatches: int
    learning_rate: Schedule
    ent_coef: Schedule
    penalty: Schedule | None = None  # None: the task's own
    gae_lambda: float = 0.97
    sequence_length: int = 25
    previous_stage: str | None = None  # the preset whose agent this stage continues to train, from `runs/PRESET`
    init_from: str | None = None  # another agent to start from: its zoo name or .safetensors file
    clone_command: str | None = None  # what makes `init_from`, if it is a clone
    distill_coef: Schedule | None = None  # set: the scripted expert is the teacher, and this the weight of its loss
    teacher_action_prob: Schedule = 0.0  # probability that the teacher's action replaces the agent's

    @property
    def initial_agent(self) -> str | None:
        if self.previous_stage is None:
            return self.init_from
        return f"runs/{self.previous_stage}/agents/main-seed0-expert-0.safetensors"

    @property
    def previous_command(self) -> str | None:
        """What makes the agent that this stage continues to train; None if the package has it, or there is none."""
        return self.clone_command if self.previous_stage is None else f"rookery train {self.previous_stage}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curriculum:
    """Stages of training in one task."""

    description: str
    task: str  # task id; only its first view is used
    num_goals: int | None = None  # None: the task's own
    stages: tuple[Stage, ...]

    def run_config(self, stage: Stage) -> RunConfig:
        """The configuration of one stage."""
        task = registry.get_task(self.task)
        task = dataclasses.replace(task, views=task.views[:1])
        if self.num_goals is not None:
            task = dataclasses.replace(task, num_goals=self.num_goals)
        learner = desktop_learner(
            task,
            stage.num_envs,
            stage.sequence_length,
            num_minibatches=stage.num_minibatches,
            gae_lambda=stage.gae_lambda,
        )
        hparams: dict[str, Schedule] = {}
        if stage.distill_coef is not None:
            learner = dataclasses.replace(learner, teacher="scripted")
            hparams = {"distill_coef": stage.distill_coef, "teacher_action_prob": stage.teacher_action_prob}
        group = GroupConfig(
            name="expert",
            slots=(0,),
            policy=RecurrentPolicyConfig(network=MLPNetwork(), init_from=stage.initial_agent),
            learner=learner,
            learning_rate=stage.learning_rate,
            ent_coef=stage.ent_coef,
            hparams=hparams,
        )
        return RunConfig(
            name=stage.preset,
            task=task,
            team=(group,),
            total_timesteps=stage.total_timesteps,
            num_envs=stage.num_envs,
            env_schedules={} if stage.penalty is None else {"penalty": stage.penalty},
        )


def load_curriculum(name: str) -> Curriculum:
    """A curriculum by the name of its file."""
    return from_dict(Curriculum, load_json(Path(__file__).parent / f"{name}.json"), name)


def previous_commands() -> dict[str, str]:
    """What makes each agent that a stage continues to train, by the agent's path."""
    stages = [stage for curriculum in map(load_curriculum, CURRICULA) for stage in curriculum.stages]
    return {
        stage.initial_agent: stage.previous_command
        for stage in stages
        if stage.initial_agent and stage.previous_command
    }


def curriculum_presets() -> dict[str, Callable[[], RunConfig]]:
    """Every stage of every curriculum, by the name of its preset."""
    presets = {}
    for curriculum in map(load_curriculum, CURRICULA):
        for stage in curriculum.stages:
            presets[stage.preset] = functools.partial(curriculum.run_config, stage)
    return presets
