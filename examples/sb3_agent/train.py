"""sb3-contrib's RecurrentPPO trains one agent among experts; its weights are then used in plain NumPy.

    pip install -e '.[sb3]' sb3-contrib     # in a checkout of rookery
    python train.py                        # writes agent.npz here
    rookery score sb3_agent:policy         # or any loop of yours: see sb3_agent.py

Agent 0 of a small Goal Cycle sees a symbolic view of 7×7 cells; the others are trained experts of the zoo.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.vec_env import VecMonitor

from rookery.interop.stable_baselines3 import RookeryVecEnv

TASK, PARTNERS = "goal-cycle-demo-v0", "goal-cycle-demo-expert"
ACTOR = ("lstm_actor.", "mlp_extractor.policy_net.", "action_net.")
"""The part of the network that chooses actions; the rest estimates values."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=150_000, help="steps in all environments together")
    parser.add_argument("--num-envs", type=int, default=64)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("agent.npz"))
    options = parser.parse_args()

    envs = VecMonitor(RookeryVecEnv(TASK, options.num_envs, partners=PARTNERS, observation="flat"))
    model = RecurrentPPO(
        "MlpLstmPolicy",
        envs,
        n_steps=64,
        batch_size=options.num_envs * 64 // 4,
        n_epochs=4,
        learning_rate=1e-3,
        gamma=0.97,
        ent_coef=0.01,
        policy_kwargs={"lstm_hidden_size": 64, "net_arch": [64]},
        seed=0,
        device="cpu",
    )
    started = time.process_time()
    while model.num_timesteps < options.steps:
        model.learn(min(10 * 64 * options.num_envs, options.steps), reset_num_timesteps=False)
        returns = [episode["r"] for episode in model.ep_info_buffer]
        seconds = time.process_time() - started
        print(f"{model.num_timesteps:8} steps: mean return {np.mean(returns):6.2f}, {seconds:.0f} s of CPU", flush=True)
    state = model.policy.state_dict()
    np.savez(options.out, **{name: state[name].numpy() for name in state if name.startswith(ACTOR)})
    print(f"saved {options.out}")


if __name__ == "__main__":
    main()
