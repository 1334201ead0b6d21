"""The adapters in the hands of the libraries that they are for, as far as these are installed (extra `clients`)."""

import importlib.util
import os
import subprocess
import sys

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rookery.interop  # noqa: F401 registers
from rookery.errors import ConfigError
from rookery.interop.gymnasium import SingleAgentVectorEnv
from rookery.interop.jaxmarl import DictEnv
from rookery.interop.pettingzoo import parallel_env
from tests.interop.counting import Counting, random_value
from tests.tiny import TASK

pytestmark = pytest.mark.filterwarnings("default")  # theirs are not ours to mend

ID = "rookery/matrix-chicken-v0"


class TestStableBaselines3:
    @pytest.fixture(autouse=True)
    def installed(self):
        pytest.importorskip("stable_baselines3", reason="Stable-Baselines3 is not installed", exc_type=ImportError)
        import torch

        torch.set_num_threads(1)  # tiny networks, and other tests use the other cores

    def make(self, *arguments, **options):
        from rookery.interop.stable_baselines3 import RookeryVecEnv

        return RookeryVecEnv(*arguments, **options)

    def test_spaces_are_those_of_single_environments(self):
        envs = self.make(Counting(), 2)
        assert envs.get_attr("action_space") == [envs.action_space] * 2
        assert envs.get_attr("observation_space", [0]) == [envs.observation_space]

    def test_episodes_by_hand(self):
        envs = self.make(Counting(limit=2), 2, agent=1, seed=7)
        assert envs.reset().tolist() == [[[random_value(7), 0]], [[random_value(8), 0]]]
        assert envs.reset_infos[0] == {"active": False, "half": 0.0, "units": 0.0}
        envs.step(np.array([0, 0]))
        observation, reward, done, infos = envs.step(np.array([2, 1]))
        assert (reward.tolist(), done.tolist()) == ([2, 1], [True, False])
        assert observation.tolist() == [[[random_value(7, 1), 0]], [[random_value(8), 2]]]
        assert infos[0].pop("terminal_observation").tolist() == [[random_value(7), 2]]
        assert infos[0] == {"active": True, "half": 1.0, "units": 2.0, "TimeLimit.truncated": False}
        assert infos[1] == {"active": True, "half": 0.5, "units": 1.0}
        for _ in range(3):
            *_, infos = envs.step(np.array([0, 0]))
        assert infos[1]["TimeLimit.truncated"]  # the fifth step of the second environment
        envs.seed(2**32 - 1)
        assert envs.reset()[:, 0, 0].tolist() == [random_value(2**32 - 1), random_value(0)]

    def test_what_single_environments_would_have(self):
        envs = self.make(TASK, 2, render_mode="rgb_array")
        assert envs.get_attr("render_mode") == ["rgb_array"] * 2
        assert envs.env_is_wrapped(gymnasium.Wrapper, 0) == [False]
        for change in (lambda: envs.set_attr("num_goals", 3), lambda: envs.env_method("step", 0)):
            with pytest.raises(ConfigError, match="compiled"):
                change()
        envs.set_options({"bogus": 1})
        with pytest.raises(ConfigError, match="there is no option 'bogus'; allowed: none"):
            envs.reset()
        envs.set_options({})
        envs.reset()
        assert [picture.shape for picture in envs.get_images()] == [(5 * 24, 6 * 24, 3)] * 2

    def test_its_learners_learn(self):
        from stable_baselines3 import PPO
        from stable_baselines3.common.vec_env import VecMonitor

        envs = VecMonitor(self.make(Counting(limit=99), 16, observation="flat"))
        model = PPO("MlpPolicy", envs, n_steps=20, batch_size=80, learning_rate=0.003, seed=0, device="cpu")
        model.learn(320)
        before = np.mean([episode["r"] for episode in model.ep_info_buffer])
        model.learn(3840)
        assert before < 7  # five actions of 0, 1 or 2
        assert np.mean([episode["r"] for episode in model.ep_info_buffer]) > 8.5

    def test_networks_for_images_take_enlarged_ones(self):
        from stable_baselines3 import PPO

        envs = self.make(ID.removeprefix("rookery/"), 2, observation="84x84")
        PPO("CnnPolicy", envs, n_steps=2, batch_size=2, n_epochs=1, device="cpu").learn(4)


class TestTorchRL:
    @pytest.fixture(autouse=True)
    def installed(self):
        pytest.importorskip("torchrl", reason="TorchRL is not installed", exc_type=ImportError)

    def test_one_environment_and_a_vector_conform(self):
        from torchrl.envs import GymEnv, GymWrapper, check_env_specs

        check_env_specs(GymEnv(ID))
        for mode in ("SameStep", "Disabled"):
            check_env_specs(GymWrapper(gymnasium.make_vec(ID, num_envs=2, autoreset_mode=mode, observation="flat")))

    @pytest.mark.parametrize("mode", ["SameStep", "Disabled"])
    def test_the_episodes_of_a_vector_by_hand(self, mode):
        from torchrl.envs import GymWrapper

        envs = GymWrapper(SingleAgentVectorEnv(Counting(max_steps=2), 2, agent=1, autoreset_mode=mode))
        envs.set_seed(7)
        rollout = envs.rollout(4, break_when_any_done=False)
        assert rollout["next", "done"][0, :, 0].tolist() == [False, True, False, True]
        first, second = rollout["observation"][0, ::2, 0].tolist()
        assert first != second
        assert rollout["next", "observation"][0, :, 0, 0].tolist() == [first[0], first[0], second[0], second[0]]

    def test_all_agents_conform(self):
        from torchrl.envs import PettingZooWrapper, check_env_specs

        check_env_specs(PettingZooWrapper(parallel_env(ID.removeprefix("rookery/"))))


class TestWorkerProcesses:
    def test_gymnasiums_are_forked(self):
        script = "import gymnasium, rookery.interop, numpy as np\n"
        script += f"envs = gymnasium.make_vec('{ID}', num_envs=2, vectorization_mode='async')\n"
        script += "envs.reset(seed=0); print(envs.step(np.array([0, 1]))[1]); envs.close()"
        assert run(script).count(".") >= 2

    def test_supersuits_are_forked(self):
        pytest.importorskip("supersuit", reason="SuperSuit is not installed", exc_type=ImportError)
        script = "import supersuit, numpy as np\nfrom rookery.interop.pettingzoo import parallel_env\n"
        script += f"envs = supersuit.pettingzoo_env_to_vec_env_v1(parallel_env('{ID.removeprefix('rookery/')}'))\n"
        script += "envs = supersuit.concat_vec_envs_v1(envs, 2, num_cpus=2, base_class='gymnasium')\n"
        script += "envs.reset(seed=0); print(envs.step(np.array([0, 1, 1, 0]))[1]); envs.close()"
        assert run(script).count(".") >= 4


def run(script: str) -> str:
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


class TestJaxMARL:
    @pytest.fixture(autouse=True)
    def installed(self):
        pytest.importorskip("jaxmarl", reason="JaxMARL is not installed", exc_type=ImportError)

    def test_its_logs_count_whole_episodes(self):
        from jaxmarl.wrappers.baselines import LogWrapper

        env = LogWrapper(DictEnv(Counting(limit=99, max_steps=3), observation="flat"))
        keys = jax.random.split(jax.random.PRNGKey(0), 4)
        _, state = jax.vmap(env.reset)(keys)
        actions = {"agent_0": jnp.full(4, 2), "agent_1": jnp.full(4, 1)}
        for _ in range(3):
            _, state, _, dones, infos = jax.vmap(env.step)(keys, state, actions)
        assert dones["__all__"].tolist() == [True] * 4
        assert infos["returned_episode_returns"].tolist() == [[6.0, 2.0]] * 4  # agent 1 is absent in the first step
        assert infos["returned_episode_lengths"].tolist() == [[3, 3]] * 4
        for info in infos.values():
            assert info.reshape(8).shape == (8,)  # as its scripts do

    def test_its_rollouts_for_centralized_training(self):
        from jaxmarl.environments import spaces
        from jaxmarl.wrappers.baselines import CTRolloutManager

        env = DictEnv(Counting(), observation="flat")
        assert isinstance(env.observation_space("agent_1"), spaces.Box)
        manager = CTRolloutManager(env, batch_size=3)
        observations, state = manager.batch_reset(jax.random.PRNGKey(0))
        assert {name: x.shape for name, x in observations.items()} == {
            "agent_0": (3, 4), "agent_1": (3, 4), "__all__": (3, 3),
        }  # fmt: skip
        key = jax.random.PRNGKey(1)
        actions = {agent: manager.batch_sample(key, agent) for agent in env.agents}
        _, _, rewards, _, _ = manager.batch_step(key, state, actions)
        assert rewards["__all__"].tolist() == actions["agent_0"].tolist()  # agent 1 is absent in the first step
        assert manager.get_valid_actions(state)["agent_1"].shape == (3, 3)

    def test_its_own_ppo_learns(self, monkeypatch):
        """`baselines/IPPO/ippo_ff_mpe.py` of a checkout of JaxMARL, which its package does not include."""
        if "JAXMARL_SOURCE" not in os.environ:
            pytest.skip("set JAXMARL_SOURCE to a checkout of JaxMARL")
        for package in ("distrax", "hydra", "omegaconf", "wandb"):
            pytest.importorskip(package, reason=f"JaxMARL's scripts need {package}", exc_type=ImportError)
        import jaxmarl

        path = os.path.join(os.environ["JAXMARL_SOURCE"], "baselines", "IPPO", "ippo_ff_mpe.py")
        script = importlib.util.spec_from_file_location("ippo_ff_mpe", path)
        ippo = importlib.util.module_from_spec(script)
        script.loader.exec_module(ippo)
        monkeypatch.setattr(ippo.wandb, "log", lambda metrics: None)
        monkeypatch.setattr(jaxmarl, "make", DictEnv)
        config = {
            "ENV_NAME": "matrix-prisoners-dilemma-v0", "ENV_KWARGS": {"observation": "flat", "max_steps": 10},
            "NUM_ENVS": 16, "NUM_STEPS": 20, "TOTAL_TIMESTEPS": 9600, "NUM_MINIBATCHES": 4, "UPDATE_EPOCHS": 4,
            "ACTIVATION": "tanh", "LR": 0.01, "ANNEAL_LR": False, "MAX_GRAD_NORM": 0.5, "GAMMA": 0.5,
            "GAE_LAMBDA": 0.95, "CLIP_EPS": 0.2, "VF_COEF": 0.5, "ENT_COEF": 0.01,
        }  # fmt: skip
        metrics = jax.jit(ippo.make_train(config))(jax.random.PRNGKey(0))["metrics"]
        assert metrics["cooperations"][0] > 0.4
        assert metrics["cooperations"][-1] < 0.1  # each learns that defecting pays more
