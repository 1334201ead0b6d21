"""Social learning in multi-agent reinforcement learning.

    import rookery

    env = rookery.make("goal-cycle-4-v0")               # pure functions on arrays: env.reset, env.step
    result = rookery.train("smoke", out="runs/smoke")   # a preset's name, or a RunConfig
    rows = rookery.evaluate("goal-cycle-demo-novice")   # with the experts it was trained with, and alone

Everything in `__all__` is imported when it is first used, so that `import rookery` does not import JAX.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if sys.platform == "win32":
    raise ImportError("Rookery does not run on Windows; install it in the Windows Subsystem for Linux (WSL)")

if TYPE_CHECKING:
    from rookery.agents.networks import JaquesNetwork, MLPNetwork, NdousseNetwork
    from rookery.agents.numpy_actor import load_actor as load
    from rookery.agents.team_setup import TeamSetup
    from rookery.commands.evaluate import evaluate
    from rookery.errors import (
        ConfigError,
        CorruptFileError,
        DivergedError,
        IncompatibleError,
        InvalidActionError,
        NotFoundError,
        ResetNeededError,
        RookeryError,
        StorageError,
    )
    from rookery.interfaces import AuxiliaryLoss, IntrinsicReward, Learner, Network, Policy, Task
    from rookery.learning.a2c import A2C
    from rookery.learning.ppo import PPO
    from rookery.learning.r2d2 import R2D2
    from rookery.plugins import (
        register_auxiliary_loss,
        register_intrinsic_reward,
        register_learner,
        register_network,
        register_tracker,
    )
    from rookery.tasks.goal_cycle import GoalCycle
    from rookery.tasks.registry import make, register
    from rookery.tracking.run_table import load_run
    from rookery.tracking.tracker import Tracker
    from rookery.training.config import RunConfig
    from rookery.training.make_team import make_team_setup
    from rookery.training.presets import preset
    from rookery.training.trainer import TrainResult, resume, train
    from rookery.types import Env, TimeStep

__version__ = "0.1.0"

__all__ = [
    "A2C",
    "PPO",
    "R2D2",
    "AuxiliaryLoss",
    "ConfigError",
    "CorruptFileError",
    "DivergedError",
    "Env",
    "GoalCycle",
    "IncompatibleError",
    "IntrinsicReward",
    "InvalidActionError",
    "JaquesNetwork",
    "Learner",
    "MLPNetwork",
    "NdousseNetwork",
    "Network",
    "NotFoundError",
    "Policy",
    "ResetNeededError",
    "RookeryError",
    "RunConfig",
    "StorageError",
    "Task",
    "TeamSetup",
    "TimeStep",
    "Tracker",
    "TrainResult",
    "evaluate",
    "load",
    "load_run",
    "make",
    "make_team_setup",
    "preset",
    "register",
    "register_auxiliary_loss",
    "register_intrinsic_reward",
    "register_learner",
    "register_network",
    "register_tracker",
    "resume",
    "train",
]

_MODULES = {
    "A2C": "rookery.learning.a2c:A2C",
    "AuxiliaryLoss": "rookery.interfaces:AuxiliaryLoss",
    "ConfigError": "rookery.errors:ConfigError",
    "CorruptFileError": "rookery.errors:CorruptFileError",
    "DivergedError": "rookery.errors:DivergedError",
    "Env": "rookery.types:Env",
    "GoalCycle": "rookery.tasks.goal_cycle:GoalCycle",
    "IncompatibleError": "rookery.errors:IncompatibleError",
    "IntrinsicReward": "rookery.interfaces:IntrinsicReward",
    "InvalidActionError": "rookery.errors:InvalidActionError",
    "JaquesNetwork": "rookery.agents.networks:JaquesNetwork",
    "Learner": "rookery.interfaces:Learner",
    "MLPNetwork": "rookery.agents.networks:MLPNetwork",
    "NdousseNetwork": "rookery.agents.networks:NdousseNetwork",
    "Network": "rookery.interfaces:Network",
    "NotFoundError": "rookery.errors:NotFoundError",
    "PPO": "rookery.learning.ppo:PPO",
    "Policy": "rookery.interfaces:Policy",
    "R2D2": "rookery.learning.r2d2:R2D2",
    "ResetNeededError": "rookery.errors:ResetNeededError",
    "RookeryError": "rookery.errors:RookeryError",
    "RunConfig": "rookery.training.config:RunConfig",
    "StorageError": "rookery.errors:StorageError",
    "Task": "rookery.interfaces:Task",
    "TeamSetup": "rookery.agents.team_setup:TeamSetup",
    "TimeStep": "rookery.types:TimeStep",
    "Tracker": "rookery.tracking.tracker:Tracker",
    "TrainResult": "rookery.training.trainer:TrainResult",
    "evaluate": "rookery.commands.evaluate:evaluate",
    "load": "rookery.agents.numpy_actor:load_actor",
    "load_run": "rookery.tracking.run_table:load_run",
    "make": "rookery.tasks.registry:make",
    "make_team_setup": "rookery.training.make_team:make_team_setup",
    "preset": "rookery.training.presets:preset",
    "register": "rookery.tasks.registry:register",
    "register_auxiliary_loss": "rookery.plugins:register_auxiliary_loss",
    "register_intrinsic_reward": "rookery.plugins:register_intrinsic_reward",
    "register_learner": "rookery.plugins:register_learner",
    "register_network": "rookery.plugins:register_network",
    "register_tracker": "rookery.plugins:register_tracker",
    "resume": "rookery.training.trainer:resume",
    "train": "rookery.training.trainer:train",
}
"""Name to "module:attribute"."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'rookery' has no attribute {name!r}")
    module, _, attribute = _MODULES[name].partition(":")
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value  # found directly from now on
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
