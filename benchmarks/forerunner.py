"""Playing and learning, this library beside its forerunners in PyTorch: `python benchmarks/forerunner.py --help`.

The same work on both sides, in one run on one machine: one agent with the paper's network (no auxiliary loss, which the
forerunner has not) in the three-goal cycle of 13×13, pixels, episodes of 250 steps, minibatches of 512 sequences of 16
steps, memories and advantages refreshed every second one, nothing stopped early. The forerunner plays one world and
learns once from 64 episodes with 10 minibatches; Rookery plays 128 worlds at once with 20, as published. Then Rookery
by less: the small networks (of 128 and, in the studies' recipe, 64) and symbolic views at the same schedule, and the
studies' recipe (3 passes of 4 minibatches).

Needs checkouts of the repositories kandouss/kamarl and kandouss/marlgrid and an interpreter with torch, gym 0.26,
gym-minigrid 1.0.2 and numba; neither is needed for anything else.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

STEPS, EPISODES, MINIBATCHES, REFRESH = 250, 64, 10, 2


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kamarl", type=Path, required=True, help="checkout of kandouss/kamarl")
    options.add_argument("--marlgrid", type=Path, required=True, help="checkout of kandouss/marlgrid")
    options.add_argument("--python", default=sys.executable, help="interpreter that has what they need")
    options.add_argument("--threads", type=int, default=2, help="of PyTorch")
    options.add_argument("--there", action="store_true", help=argparse.SUPPRESS)  # within that interpreter
    chosen = options.parse_args()
    if chosen.there:
        print(json.dumps(forerunner(chosen)))
        return
    from rookery.training.devices import use_all_cores  # not there in the other interpreter

    use_all_cores()
    command = [chosen.python, *sys.argv, "--there"]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    theirs = json.loads(told.splitlines()[-1])
    print(f"kamarl and marlgrid      {theirs['rate']:10,.0f} environment steps/s, {theirs['parameters']:,} parameters")
    for network in ("paper", "lite", "small", "recipe"):
        rate, machine = ours(network)
        print(f"Rookery, {network:16}{rate:10,.0f} environment steps/s, {rate / theirs['rate']:.1f} times")
    print(", ".join(f"{name} {value}" for name, value in machine.items()), f"PyTorch {theirs['torch']}", sep=", ")


def ours(network: str) -> tuple[float, dict]:
    """Environment steps a second of the second update of a run and those after it, and the machine.

    'small': the network of the studies' recipe at the published schedule; 'recipe': its passes and minibatches, too.
    """
    import dataclasses

    from rookery.agents.networks import MLPNetwork, NdousseNetwork
    from rookery.gridworld.spec import ViewConfig
    from rookery.learning.ppo import PPO
    from rookery.storage.metrics import read_metrics
    from rookery.studies import budgets
    from rookery.training import presets
    from rookery.training.config import GroupConfig, RecurrentPolicyConfig
    from rookery.training.devices import machine_info
    from rookery.training.trainer import train

    paper = presets.paper()
    view = ViewConfig() if network == "paper" else ViewConfig(observation_type="symbolic")
    task = dataclasses.replace(paper.task, views=(view,))
    networks = {
        "paper": NdousseNetwork(),
        "lite": MLPNetwork(),
        "small": budgets.DESK_NETWORK,
        "recipe": budgets.DESK_NETWORK,
    }
    published = PPO(auxiliary=(), target_kl=None, rollback_kl=None)
    learner = budgets.novice_ppo("desk", task, None) if network == "recipe" else published
    novice = GroupConfig(
        name="novice", slots=(0,), policy=RecurrentPolicyConfig(network=networks[network]), learner=learner
    )
    updates = 3 if network == "paper" else 10
    config = dataclasses.replace(
        paper, name="speed", task=task, team=(novice,), steps=updates * paper.num_envs * STEPS,
        checkpoint_interval=updates + 1,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        train(config, Path(folder) / "run", quiet=True)
        rates = [row["time/steps_per_second"] for row in read_metrics(Path(folder) / "run")[1:]]
    return len(rates) / sum(1 / rate for rate in rates), machine_info()


def forerunner(chosen) -> dict:
    """Environment steps a second of playing 64 episodes and learning from them once."""
    import numpy as np

    for name, kind in (("bool", bool), ("int", int), ("float", float), ("object", object)):
        if name not in vars(np):
            setattr(np, name, kind)  # names that NumPy has dropped since
    for name in ("pyglet", "pyglet.gl", "baselines", "baselines.common", "baselines.common.vec_env"):
        sys.modules[name] = types.ModuleType(name)  # no window is opened, no vector of worlds made
    sys.modules["pyglet"].gl = sys.modules["pyglet.gl"]  # type: ignore[attr-defined]
    sys.modules["baselines.common.vec_env"].VecEnv = object  # type: ignore[attr-defined]
    sys.path[:0] = [str(chosen.kamarl), str(chosen.marlgrid)]
    import torch
    from kamarl.agents import IndependentAgents
    from kamarl.ppo import PPOAgent
    from kamarl.utils import count_parameters
    from marlgrid.agents import GridAgentInterface
    from marlgrid.envs import env_from_config

    for check in ("check_forward_input", "check_forward_hidden"):  # PyTorch has dropped these checks since
        setattr(torch.nn.RNNCellBase, check, lambda *arguments: None)
    torch.set_num_threads(chosen.threads)
    seen = {
        "view_tile_size": 3, "view_size": 7, "view_offset": 1, "observation_style": "image", "prestige_beta": 0.99,
        "color": "prestige", "spawn_delay": 0,
    }  # fmt: skip
    convolution = {"kernel_size": 3, "padding": 0}
    network = {
        "conv_layers": [
            {"out_channels": 32, "stride": 3, **convolution},
            {"out_channels": 64, "stride": 1, **convolution},
            {"out_channels": 64, "stride": 1, **convolution},
        ],
        "input_trunk_layers": [192], "lstm_hidden_size": 192, "val_mlp_layers": [64, 64], "pi_mlp_layers": [64, 64],
    }  # fmt: skip
    learning = {
        "batch_size": EPISODES, "num_minibatches": MINIBATCHES, "minibatch_size": 512, "minibatch_seq_len": 16,
        "hidden_update_interval": REFRESH, "learning_rate": 1e-4, "kl_target": 1e9, "kl_hard_limit": 1e9,
        "clamp_ratio": 0.2, "lambda": 0.97, "gamma": 0.993, "entropy_bonus_coef": 1e-5, "value_loss_coef": 0.1,
    }  # fmt: skip
    world = {
        "env_class": "ClutteredGoalCycleEnv", "grid_size": 13, "max_steps": STEPS, "clutter_density": 0.15,
        "respawn": True, "ghost_mode": True, "reward_decay": False, "n_bonus_tiles": 3, "initial_reward": True,
        "penalty": -1.5,
    }  # fmt: skip
    face = GridAgentInterface(**seen)
    agent = PPOAgent(
        observation_space=face.observation_space, action_space=face.action_space, learning_config=learning,
        model_config=network,
    )  # fmt: skip
    agents = IndependentAgents(agent)
    env = env_from_config(world)
    env.add_agent(GridAgentInterface(**seen))
    env.np_random = np.random.RandomState(0)  # what gym gave when it was written

    def play() -> int:
        observation, over, steps = env.reset(), False, 0
        with agents.episode(), torch.set_grad_enabled(False):
            while not over:
                action = agents.action_step(observation)
                following, reward, done, _ = env.step(action)
                agents.save_step(observation, action, reward, done)
                observation, over, steps = following, bool(np.array(done).all()), steps + 1
        return steps

    play()  # what is compiled is compiled now
    agent.clear_memory()
    began, steps, told = time.perf_counter(), 0, sys.stdout
    sys.stdout = sys.stderr
    while agent.counts["updates"] == 0:
        steps += play()
    sys.stdout = told
    rate = steps / (time.perf_counter() - began)
    return {"rate": rate, "steps": steps, "parameters": int(count_parameters(agent.ac)), "torch": torch.__version__}


if __name__ == "__main__":
    main()
