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
from rookery.agents.team import Group, Team
from rookery.learning import ppo
from rookery.learning.auxiliary import NextFrame
from rookery.learning.ppo import PPO
from rookery.learning.rollout import rollout
from rookery.runs.evaluation import evaluation_key
from rookery.show.plots import learning_curves
from rookery.studies import figures, recipe, statistics
from rookery.studies.claims import enough, verdict
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import FAILS, HOLDS, Claim, Judgement, Study
from rookery.tasks.env import Env
from rookery.tasks.goal_cycle import GoalCycle

STATES, ACTIONS, DISCOUNT = 8, 3, 0.9
SWEEPS = 200  # of Q-learning over the whole table
UPDATES = {"smoke": 2, "desk": 40, "paper": 40}
EPISODES = 16  # an update
STEP = 1e-3
TINY = 1e-6
"""What counts as nothing, in 32-bit arithmetic."""


def _world() -> Env:
    """A small world of agents where nothing pays and nothing costs."""
    return Env(GoalCycle(height=7, width=8, obstacles=2, max_steps=20, actions=3, views=(recipe.SEES,) * 3,
                         goal_reward=0.0, penalty=0.0))  # fmt: skip


def tabular(key) -> dict:
    """Policy gradient and Q-learning in a random table without reward.

    Returns 'policy gradient': its largest entry by exact values; 'largest Q': after each sweep, f[SWEEPS + 1].
    """
    transition_key, policy_key, value_key = jax.random.split(key, 3)
    following = jax.random.randint(transition_key, (STATES, ACTIONS), 0, STATES)
    reward = jnp.zeros((STATES, ACTIONS))

    def expected_return(logits):
        chance = jax.nn.softmax(logits)
        onward = jnp.zeros((STATES, STATES)).at[jnp.arange(STATES)[:, None], following].add(chance)
        value = jnp.linalg.solve(jnp.eye(STATES) - DISCOUNT * onward, (chance * reward).sum(1))
        return value.mean()

    slope = jax.grad(expected_return)(jax.random.normal(policy_key, (STATES, ACTIONS)))

    def sweep(q, _):
        q = q + 0.5 * (reward + DISCOUNT * q[following].max(-1) - q)
        return q, jnp.abs(q).max()

    start = jax.random.normal(value_key, (STATES, ACTIONS))
    _, largest = jax.lax.scan(sweep, start, length=SWEEPS)
    return {
        "policy gradient": float(jnp.abs(slope).max()),
        "largest Q": [float(jnp.abs(start).max()), *np.asarray(largest, float).tolist()],
    }


def deep(seed: int, updates: int) -> dict:
    """The recurrent policy in a world without reward, its value head at 0: gradients, then learning.

    Returns norms of the encoder's gradient 'without' and 'with' the auxiliary loss, f[] each, the former split into
    'policy' alone; how far the encoder moved in `updates` updates either way; and the auxiliary error at each.
    """
    env = _world()
    policy = RecurrentPolicy(recipe.network("smoke"), env.observation_shape(0), env.actions)
    team = Team((Group("novice", (0, 1, 2), policy, PPO()),))
    found: dict = {}
    key = jax.random.fold_in(evaluation_key(seed), 77)
    for name, losses in (("without", ()), ("with", (NextFrame(weight=1.0),))):
        config = PPO(
            sequence_length=10, minibatches=4, sequences=16, refresh_every=2, kl_stop=None, kl_limit=None,
            auxiliary=losses,
        )  # fmt: skip
        learner = config.init(policy, jax.random.fold_in(key, 1), steps=0)
        blank = jax.tree.map(jnp.zeros_like, learner.params["policy"]["heads"]["value3"])
        heads = {**learner.params["policy"]["heads"], "value3": blank}
        learner = learner._replace(params={**learner.params, "policy": {**learner.params["policy"], "heads": heads}})
        rates = ppo.Rates(jnp.float32(STEP), jnp.float32(0.0), jnp.float32(1.0))

        def play(params, key):
            present = jnp.ones((EPISODES, env.agents), bool)
            own = {"novice": jax.tree.map(lambda x: jnp.broadcast_to(x, (3, *x.shape)), params["policy"])}
            seen, _ = rollout(env, team, own, env.default_params(), key, present)
            return jax.tree.map(lambda x: x[0], seen["novice"])

        def slope(params, key, config=config, rates=rates):
            trajectory = play(params, key)
            fresh = ppo.refresh(config, policy, params, trajectory)
            batch = ppo.cut(config, trajectory, fresh, jnp.arange(2 * EPISODES))
            return ppo.gradient(config, policy, params, batch, rates)[1]["policy"]

        def learn(learner, key, config=config, rates=rates):
            play_key, learn_key = jax.random.split(key)
            return ppo.update(config, policy, learner, play(learner.params, play_key), rates, learn_key)

        found[f"gradient of the policy head {name}"] = _size(jax.jit(slope)(learner.params, key)["heads"])
        found[f"gradient of the encoder {name}"] = _size(jax.jit(slope)(learner.params, key)["encoder"])
        step, now, errors = jax.jit(learn), learner, []
        for number in range(updates):
            now, told = step(now, jax.random.fold_in(key, 100 + number))
            errors += [float(told["auxiliary_error/next-frame"])] if losses else []
        moved = jax.tree.map(lambda a, b: a - b, now.params["policy"], learner.params["policy"])
        found[f"encoder moved {name}"] = _size(moved["encoder"])
        if losses:
            found["auxiliary error"] = errors
    return found


def _size(tree) -> float:
    """Euclidean norm."""
    return float(jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree))))


def _measure(session: Session) -> dict:
    """Both examples for every seed."""
    found: dict = {}
    for seed in session.own_seeds:
        told = {**tabular(evaluation_key(seed)), **deep(seed, UPDATES[session.budget])}
        for name, value in told.items():
            found.setdefault(name, []).append(value)
    return found


def _nothing(text: str, name: str) -> Claim:
    """In every seed a number is 0, but for rounding."""

    def judge(results: Results) -> Judgement:
        values = [np.abs(value).max() for value in results.data["measured"][name]]
        largest = float(max(values))
        interval = statistics.Interval(largest, largest, largest)
        return Judgement(HOLDS if largest <= TINY else FAILS, f"{name}, largest of all seeds; claimed 0", interval)

    return Claim(text=text, judge=judge)


def _something(text: str, name: str) -> Claim:
    """Over seeds a number is above 0."""

    def judge(results: Results) -> Judgement:
        values = np.array(results.data["measured"][name], float)
        found = enough(statistics.mean_over_seeds(values), len(values))
        return Judgement(verdict(found, above=TINY), f"{name}; claimed > 0", found)

    return Claim(text=text, judge=judge)


def _driven(results: Results) -> Judgement:
    last = np.array([row[-1] for row in results.data["measured"]["largest Q"]])
    first = np.array([row[0] for row in results.data["measured"]["largest Q"]])
    share = float((last / first).max())
    interval = statistics.Interval(share, share, share)
    named = "largest Q after all sweeps as a share of the first, largest of all seeds; claimed < 0.001"
    return Judgement(HOLDS if share < 1e-3 else FAILS, named, interval)


def _falls(results: Results) -> Judgement:
    errors = np.array(results.data["measured"]["auxiliary error"], float)
    share = errors[:, -1] / errors[:, 0]
    found = enough(statistics.mean_over_seeds(share), len(share))
    named = "error of the predicted next view, last update as a share of the first; claimed < 1"
    return Judgement(verdict(found, below=1.0), named, found)


def _figures(results: Results) -> figures.Figures:
    told = results.data["measured"]
    table = np.array(told["largest Q"], float)
    q = learning_curves(
        {"largest Q-value": (np.arange(table.shape[1], dtype=float), table)}, xlabel="sweep", ylabel="largest |Q|"
    )
    error = np.array(told["auxiliary error"], float)
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
    arms=(),
    scenes=(),
    claims=(
        _nothing("In a table without reward the policy gradient is 0.", "policy gradient"),
        Claim(text="In a table without reward Q-learning drives all values to 0.", judge=_driven),
        _nothing(
            "In a network without reward the policy head gets no gradient.", "gradient of the policy head without"
        ),
        _nothing("Nor does the encoder.", "gradient of the encoder without"),
        _nothing("Updates without reward do not move the encoder.", "encoder moved without"),
        _something("With the auxiliary loss the encoder gets a gradient.", "gradient of the encoder with"),
        _something("And moves.", "encoder moved with"),
        Claim(text="It learns what will be seen next.", judge=_falls),
    ),
    figures=_figures,
    seeds=5,
    budgets=("smoke", "desk"),
    measure=_measure,
)
