"""Why reward alone cannot start social learning, and why an auxiliary loss can.

Where no reward is met, returns and advantages are 0: the policy gradient vanishes and Q-values are driven to 0, so
that a representation of experts is learned by neither. The auxiliary loss does not need reward. Shown on a table
and on the very network and losses the other studies train.

Source: Ndousse et al. 2021, section 3.1 and appendix 7.5.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.team import AgentGroup, Team
from rookery.learning import ppo
from rookery.learning.auxiliary import NextFramePrediction
from rookery.learning.ppo import PPO
from rookery.learning.rollout import rollout
from rookery.studies import budgets, figures, statistics
from rookery.studies.claims import judge_interval, withhold_if_few_seeds
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import FAILS, HOLDS, Claim, Study, Verdict
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.grid_env import GridEnv
from rookery.training.evaluation import evaluation_key
from rookery.viz.plots import learning_curves

_NUM_STATES, _NUM_ACTIONS, GAMMA = 8, 3, 0.9
NUM_SWEEPS = 200  # of Q-learning over the whole table
_NUM_UPDATES = {"smoke": 2, "desk": 40, "paper": 40}
_NUM_ENVS = 16  # an update
_LEARNING_RATE = 1e-3
_TOLERANCE = 1e-6
"""What counts as nothing, in 32-bit arithmetic."""


def _reward_free_env() -> GridEnv:
    """A small world of agents where nothing pays and nothing costs."""
    return GridEnv(GoalCycle(height=7, width=8, num_obstacles=2, max_steps=20, num_actions=3, views=(budgets.DESK_VIEW,) * 3,
                         goal_reward=0.0, penalty=0.0))  # fmt: skip


def tabular_example(key) -> dict:
    """Policy gradient and Q-learning in a random table without reward.

    Returns 'policy gradient': its largest entry by exact values; 'largest Q': after each sweep, f[SWEEPS + 1].
    """
    transition_key, policy_key, value_key = jax.random.split(key, 3)
    following = jax.random.randint(transition_key, (_NUM_STATES, _NUM_ACTIONS), 0, _NUM_STATES)
    reward = jnp.zeros((_NUM_STATES, _NUM_ACTIONS))

    def expected_return(logits):
        chance = jax.nn.softmax(logits)
        onward = jnp.zeros((_NUM_STATES, _NUM_STATES)).at[jnp.arange(_NUM_STATES)[:, None], following].add(chance)
        value = jnp.linalg.solve(jnp.eye(_NUM_STATES) - GAMMA * onward, (chance * reward).sum(1))
        return value.mean()

    slope = jax.grad(expected_return)(jax.random.normal(policy_key, (_NUM_STATES, _NUM_ACTIONS)))

    def sweep(q, _):
        q = q + 0.5 * (reward + GAMMA * q[following].max(-1) - q)
        return q, jnp.abs(q).max()

    start = jax.random.normal(value_key, (_NUM_STATES, _NUM_ACTIONS))
    _, largest = jax.lax.scan(sweep, start, length=NUM_SWEEPS)
    return {
        "policy_gradient_max": float(jnp.abs(slope).max()),
        "max_abs_q": [float(jnp.abs(start).max()), *np.asarray(largest, float).tolist()],
    }


def network_example(seed: int, num_updates: int) -> dict:
    """The recurrent policy in a world without reward, its value head at 0: gradients, then learning.

    Returns norms of the encoder's gradient 'without' and 'with' the auxiliary loss, f[] each, the former split into
    'policy' alone; how far the encoder moved in `updates` updates either way; and the auxiliary error at each.
    """
    env = _reward_free_env()
    policy = RecurrentPolicy(budgets.novice_network("smoke"), env.observation_shape(0), env.num_actions)
    team = Team((AgentGroup("novice", (0, 1, 2), policy, PPO()),))
    found: dict = {}
    key = jax.random.fold_in(evaluation_key(seed), 77)
    for name, losses in (("without", ()), ("with", (NextFramePrediction(weight=1.0),))):
        config = PPO(
            sequence_length=10, num_minibatches=4, minibatch_size=16, recompute_every=2, target_kl=None, rollback_kl=None,
            auxiliary=losses,
        )  # fmt: skip
        learner = config.init(policy, jax.random.fold_in(key, 1), steps=0)
        blank = jax.tree.map(jnp.zeros_like, learner.params["policy"]["heads"]["value3"])
        heads = {**learner.params["policy"]["heads"], "value3": blank}
        learner = learner._replace(params={**learner.params, "policy": {**learner.params["policy"], "heads": heads}})
        rates = ppo.ScheduledHparams(jnp.float32(_LEARNING_RATE), jnp.float32(0.0), jnp.float32(1.0))

        def play(params, key):
            present = jnp.ones((_NUM_ENVS, env.num_agents), bool)
            own = {"novice": jax.tree.map(lambda x: jnp.broadcast_to(x, (3, *x.shape)), params["policy"])}
            seen, _ = rollout(env, team, own, env.default_params(), key, present)
            return jax.tree.map(lambda x: x[0], seen["novice"])

        def slope(params, key, config=config, rates=rates):
            trajectory = play(params, key)
            fresh = ppo.recompute(config, policy, params, trajectory)
            batch = ppo.take_sequences(config, trajectory, fresh, jnp.arange(2 * _NUM_ENVS))
            return ppo.gradient(config, policy, params, batch, rates)[1]["policy"]

        def learn(learner, key, config=config, rates=rates):
            play_key, learn_key = jax.random.split(key)
            return ppo.ppo_update(config, policy, learner, play(learner.params, play_key), rates, learn_key)

        found[f"policy_head_grad_norm_{name}_aux"] = _norm(jax.jit(slope)(learner.params, key)["heads"])
        found[f"encoder_grad_norm_{name}_aux"] = _norm(jax.jit(slope)(learner.params, key)["encoder"])
        step, now, errors = jax.jit(learn), learner, []
        for number in range(num_updates):
            now, told = step(now, jax.random.fold_in(key, 100 + number))
            errors += [float(told["aux_loss/next-frame"])] if losses else []
        moved = jax.tree.map(lambda a, b: a - b, now.params["policy"], learner.params["policy"])
        found[f"encoder_change_{name}_aux"] = _norm(moved["encoder"])
        if losses:
            found["aux_loss"] = errors
    return found


def _norm(tree) -> float:
    """Euclidean norm."""
    return float(jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree))))


def _measure(session: Session) -> dict:
    """Both examples for every seed."""
    found: dict = {}
    for seed in session.seed_range:
        told = {**tabular_example(evaluation_key(seed)), **network_example(seed, _NUM_UPDATES[session.budget])}
        for name, value in told.items():
            found.setdefault(name, []).append(value)
    return found


def _claim_zero(text: str, name: str) -> Claim:
    """In every seed a number is 0, but for rounding."""

    def judge(results: Results) -> Verdict:
        values = [np.abs(value).max() for value in results.data["extra_measurements"][name]]
        largest = float(max(values))
        interval = statistics.Interval(largest, largest, largest)
        return Verdict(HOLDS if largest <= _TOLERANCE else FAILS, f"{name}, largest of all seeds; claimed 0", interval)

    return Claim(text=text, judge=judge)


def _claim_positive(text: str, name: str) -> Claim:
    """Over seeds a number is above 0."""

    def judge(results: Results) -> Verdict:
        values = np.array(results.data["extra_measurements"][name], float)
        found = withhold_if_few_seeds(statistics.mean_over_seeds(values), len(values))
        return Verdict(judge_interval(found, above=_TOLERANCE), f"{name}; claimed > 0", found)

    return Claim(text=text, judge=judge)


def _judge_q_vanishes(results: Results) -> Verdict:
    last = np.array([row[-1] for row in results.data["extra_measurements"]["max_abs_q"]])
    first = np.array([row[0] for row in results.data["extra_measurements"]["max_abs_q"]])
    share = float((last / first).max())
    interval = statistics.Interval(share, share, share)
    named = "largest Q after all sweeps as a share of the first, largest of all seeds; claimed < 0.001"
    return Verdict(HOLDS if share < 1e-3 else FAILS, named, interval)


def _judge_aux_loss_falls(results: Results) -> Verdict:
    errors = np.array(results.data["extra_measurements"]["aux_loss"], float)
    share = errors[:, -1] / errors[:, 0]
    found = withhold_if_few_seeds(statistics.mean_over_seeds(share), len(share))
    named = "error of the predicted next view, last update as a share of the first; claimed < 1"
    return Verdict(judge_interval(found, below=1.0), named, found)


def _figures(results: Results) -> figures.Figures:
    told = results.data["extra_measurements"]
    table = np.array(told["max_abs_q"], float)
    q = learning_curves(
        {"largest Q-value": (np.arange(table.shape[1], dtype=float), table)}, xlabel="sweep", ylabel="largest |Q|"
    )
    error = np.array(told["aux_loss"], float)
    aux = learning_curves(
        {"next frame": (np.arange(1, 1 + error.shape[1], dtype=float), error)},
        xlabel="update without any reward", ylabel="mean absolute error (0 to 1)",
    )  # fmt: skip
    return [
        ("figure", q, "A table without reward: Q-learning drives every value to 0."),
        ("auxiliary", aux, "A network without reward: the auxiliary loss still teaches it what is to be seen."),
    ]


STUDY = Study(
    name="ndousse2021/theory",
    title="No reward, no gradient",
    source="Ndousse et al. 2021, section 3.1 and appendix 7.5",
    compares="a tabular and a deep example without reward: policy gradient, Q-values, and the encoder with and without "
    "the auxiliary loss",
    conditions=(),
    eval_conditions=(),
    claims=(
        _claim_zero("In a table without reward the policy gradient is 0.", "policy_gradient_max"),
        Claim(text="In a table without reward Q-learning drives all values to 0.", judge=_judge_q_vanishes),
        _claim_zero(
            "In a network without reward the policy head gets no gradient.", "policy_head_grad_norm_without_aux"
        ),
        _claim_zero("Nor does the encoder.", "encoder_grad_norm_without_aux"),
        _claim_zero("Updates without reward do not move the encoder.", "encoder_change_without_aux"),
        _claim_positive("With the auxiliary loss the encoder gets a gradient.", "encoder_grad_norm_with_aux"),
        _claim_positive("And moves.", "encoder_change_with_aux"),
        Claim(text="It learns what will be seen next.", judge=_judge_aux_loss_falls),
    ),
    figures=_figures,
    num_seeds=5,
    budgets=("smoke", "desk"),
    measure_extra=_measure,
)
