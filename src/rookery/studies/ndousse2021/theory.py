"""Why reward alone cannot start social learning, and why an auxiliary loss can.

Without reward, returns and advantages are 0: the policy gradient vanishes and Q-values are driven to 0, so neither
learns a representation of what the experts do. The auxiliary loss does not need reward. Shown on a table, and on the
network and losses that the other studies train.

Source: Ndousse et al. 2021, section 3.1 and appendix 7.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from rookery import keys
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.team import AgentGroup, Team
from rookery.intervals import Interval
from rookery.learning import actor_critic, ppo
from rookery.learning.auxiliary import NextFramePrediction
from rookery.learning.health import measure_losses
from rookery.learning.ppo import PPO
from rookery.learning.rollout import rollout
from rookery.studies import budgets
from rookery.studies.claims import judge_count, judge_mean
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import Claim, Figures, Study, Verdict
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.grid_env import GridEnv
from rookery.training.evaluation import evaluation_key
from rookery.viz.plots import learning_curves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rookery.types import PRNGKey

_NUM_STATES, _NUM_ACTIONS, GAMMA = 8, 3, 0.9
NUM_SWEEPS = 200  # of Q-learning over the whole table
_NUM_UPDATES = {"smoke": 2, "desk": 400, "paper": 400}
_NUM_ENVS = 16  # per update
_LEARNING_RATE = 1e-3
_TOLERANCE = 1e-6
"""What counts as 0 in 32-bit arithmetic."""


def _reward_free_env() -> GridEnv:
    """A small grid in which nothing is rewarded and nothing costs anything."""
    task = GoalCycle(
        height=7, width=8, num_obstacles=2, max_steps=20, num_actions=3, views=(budgets.DESK_VIEW,) * 3,
        goal_reward=0.0, penalty=0.0,
    )  # fmt: skip
    return GridEnv(task)


def tabular_example(key: PRNGKey) -> dict[str, Any]:
    """Policy gradient and Q-learning in a random table without reward.

    Returns 'policy_gradient_max': the largest absolute entry of the exact policy gradient; 'max_abs_q': the largest
    absolute Q-value after each sweep, f[NUM_SWEEPS + 1].
    """
    transition_key, policy_key, value_key = jax.random.split(key, 3)
    next_state = jax.random.randint(transition_key, (_NUM_STATES, _NUM_ACTIONS), 0, _NUM_STATES)
    reward = jnp.zeros((_NUM_STATES, _NUM_ACTIONS))

    def expected_return(logits):
        policy = jax.nn.softmax(logits)
        transition = jnp.zeros((_NUM_STATES, _NUM_STATES)).at[jnp.arange(_NUM_STATES)[:, None], next_state].add(policy)
        value = jnp.linalg.solve(jnp.eye(_NUM_STATES) - GAMMA * transition, (policy * reward).sum(1))
        return value.mean()

    gradient = jax.grad(expected_return)(jax.random.normal(policy_key, (_NUM_STATES, _NUM_ACTIONS)))

    def sweep(q, _):
        q = q + 0.5 * (reward + GAMMA * q[next_state].max(-1) - q)
        return q, jnp.abs(q).max()

    initial_q = jax.random.normal(value_key, (_NUM_STATES, _NUM_ACTIONS))
    _, max_abs_q = jax.lax.scan(sweep, initial_q, length=NUM_SWEEPS)
    return {
        "policy_gradient_max": float(jnp.abs(gradient).max()),
        "max_abs_q": [float(jnp.abs(initial_q).max()), *np.asarray(max_abs_q, float).tolist()],
    }


def network_example(seed: int, num_updates: int) -> dict[str, Any]:
    """The recurrent policy in a world without reward, its value head at 0: gradients, then learning.

    Returns, for 'without_aux' and 'with_aux' (the auxiliary loss): norms of the gradients of the policy head and of the
    encoder, f[] each, and how far the encoder moves in `num_updates` updates; the auxiliary loss of each update; and at
    the end its error on new episodes, and that of the best constant prediction.
    """
    env = _reward_free_env()
    policy = RecurrentPolicy(
        budgets.novice_network("smoke"),
        env.observation_shape(0),
        env.num_actions,
        observation_type=env.observation_type(0),
    )
    team = Team((AgentGroup("novice", (0, 1, 2), policy, PPO()),))
    measured: dict = {}
    key = jax.random.fold_in(evaluation_key(seed), keys.THEORY_EXAMPLE)
    for name, losses in (("without", ()), ("with", (NextFramePrediction(weight=1.0),))):
        config = PPO(
            sequence_length=10, num_minibatches=4, minibatch_size=16, recompute_every=2, target_kl=None,
            rollback_kl=None, auxiliary=losses,
        )  # fmt: skip
        learner = _with_zero_values(config.init(policy, jax.random.fold_in(key, keys.THEORY_PARAMS), steps=0))
        gradient, update, measure = _compile_learner(env, team, policy, config)
        measured[f"policy_head_grad_norm_{name}_aux"] = _norm(gradient(learner.params, key)["heads"])
        measured[f"encoder_grad_norm_{name}_aux"] = _norm(gradient(learner.params, key)["encoder"])
        trained, aux_losses = learner, []
        for number in range(num_updates):
            trained, metrics = update(trained, jax.random.fold_in(key, keys.THEORY_UPDATES + number))
            aux_losses += [float(metrics["aux_loss/next-frame"])] if losses else []
        change = jax.tree.map(lambda a, b: a - b, trained.params["policy"], learner.params["policy"])
        measured[f"encoder_change_{name}_aux"] = _norm(change["encoder"])
        if losses:
            measured["aux_loss"] = aux_losses
            health = measure(trained, jax.random.fold_in(key, keys.THEORY_HEALTH))
            measured["prediction_error"] = float(health["next-frame/error"])
            measured["constant_error"] = float(health["next-frame/error_constant"])
    return measured


def _with_zero_values(learner):
    """The learner with the last layer of its value head at 0, so that every value is 0."""
    params = learner.params["policy"]
    zeros = jax.tree.map(jnp.zeros_like, params["heads"]["value3"])
    params = {**params, "heads": {**params["heads"], "value3": zeros}}
    return learner._replace(params={**learner.params, "policy": params})


def _compile_learner(env: GridEnv, team: Team, policy: RecurrentPolicy, config: PPO):
    """Functions of a key: the gradient of one minibatch's loss, one update on new episodes, and what losses measure of
    themselves on new episodes."""
    hparams = actor_critic.ScheduledHparams(jnp.float32(_LEARNING_RATE), jnp.float32(0.0), jnp.float32(1.0))

    def play(params, key):
        agent_mask = jnp.ones((_NUM_ENVS, env.num_agents), bool)
        by_agent = jax.tree.map(lambda x: jnp.broadcast_to(x, (3, *x.shape)), params["policy"])
        trajectories, _ = rollout(env, team, {"novice": by_agent}, env.default_params(), key, agent_mask)
        return jax.tree.map(lambda x: x[0], trajectories["novice"])

    def gradient(params, key):
        trajectory = play(params, key)
        recomputed = actor_critic.recompute(config, policy, params, trajectory)
        batch = actor_critic.take_sequences(config, trajectory, recomputed, jnp.arange(2 * _NUM_ENVS))
        return actor_critic.gradient(config, policy, params, batch, hparams, key)[1]["policy"]

    def update(learner, key):
        play_key, learn_key = jax.random.split(key)
        return ppo.ppo_update(config, policy, learner, play(learner.params, play_key), hparams, learn_key)

    def measure(learner, key):
        trajectory = play(learner.params, key)
        return measure_losses(config.auxiliary, (), policy, learner.params, trajectory, lambda observation: None)

    return jax.jit(gradient), jax.jit(update), jax.jit(measure)


def _norm(tree) -> float:
    """Euclidean norm."""
    return float(jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree))))


def _measure(session: Session) -> dict[str, Any]:
    """Both examples for every seed."""
    measured: dict = {}
    for seed in session.seed_range:
        examples = {**tabular_example(evaluation_key(seed)), **network_example(seed, _NUM_UPDATES[session.budget])}
        for name, value in examples.items():
            measured.setdefault(name, []).append(value)
    return measured


def _judge_every_seed(by_seed: Sequence[float], limit: float, quantity: str) -> Verdict:
    """In every seed a number is at most `limit`; exact, not sampled, so that its interval is the number itself."""
    hits, largest = sum(value <= limit for value in by_seed), max(by_seed)
    outcome, reason = judge_count(hits, hits, len(by_seed), len(by_seed))
    return Verdict(outcome, quantity, Interval(largest, largest, largest), reason)


def _claim_zero(text: str, name: str, quantity: str) -> Claim:
    """In every seed a number is 0 up to rounding."""

    def judge(results: Results) -> Verdict:
        by_seed = [float(np.abs(value).max()) for value in results.extra[name]]
        return _judge_every_seed(by_seed, _TOLERANCE, f"{quantity}, largest of all seeds; claimed 0")

    return Claim(text=text, judge=judge)


def _claim_positive(text: str, name: str, quantity: str) -> Claim:
    """Over seeds a number is above 0."""

    def judge(results: Results) -> Verdict:
        return judge_mean(np.array(results.extra[name], float), f"{quantity}; claimed > 0", above=_TOLERANCE)

    return Claim(text=text, judge=judge)


def _judge_q_vanishes(results: Results) -> Verdict:
    max_abs_q = np.array(results.extra["max_abs_q"])
    quantity = "largest |Q| after all sweeps as a fraction of the first, largest of all seeds; claimed < 0.001"
    limit = np.nextafter(1e-3, 0)  # below 0.001, and not at it
    return _judge_every_seed((max_abs_q[:, -1] / max_abs_q[:, 0]).tolist(), limit, quantity)


def _judge_aux_loss_falls(results: Results) -> Verdict:
    error, constant = (np.array(results.extra[name], float) for name in ("prediction_error", "constant_error"))
    quantity = "error on new episodes as a fraction of that of the best constant view; claimed < 1"
    return judge_mean(error / constant, quantity, below=1.0)


def _figures(results: Results) -> Figures:
    max_abs_q = np.array(results.extra["max_abs_q"], float)
    sweeps = np.arange(max_abs_q.shape[1], dtype=float)
    q_curves = learning_curves({"largest Q-value": (sweeps, max_abs_q)}, xlabel="sweep", ylabel="largest |Q|")
    aux_loss = np.array(results.extra["aux_loss"], float)
    updates = np.arange(1, 1 + aux_loss.shape[1], dtype=float)
    aux_curves = learning_curves(
        {"next frame": (updates, aux_loss)}, xlabel="update without any reward", ylabel="error of the predicted view"
    )
    return [
        ("figure", q_curves, "A table without reward: Q-learning drives every value to 0."),
        ("auxiliary", aux_curves, "A network without reward learns to predict the next view from the auxiliary loss."),
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
        _claim_zero("In a table without reward the policy gradient is 0.", "policy_gradient_max",
                    "largest entry of the policy gradient"),
        Claim(text="In a table without reward Q-learning drives all values to 0.", judge=_judge_q_vanishes),
        _claim_zero("In a network without reward the policy head gets no gradient.",
                    "policy_head_grad_norm_without_aux",
                    "norm of the policy head's gradient without the auxiliary loss"),
        _claim_zero("In a network without reward the encoder gets no gradient.", "encoder_grad_norm_without_aux",
                    "norm of the encoder's gradient without the auxiliary loss"),
        _claim_zero("Updates without reward do not change the encoder.", "encoder_change_without_aux",
                    "change of the encoder's parameters without the auxiliary loss"),
        _claim_positive("With the auxiliary loss the encoder gets a gradient.", "encoder_grad_norm_with_aux",
                        "norm of the encoder's gradient with the auxiliary loss"),
        _claim_positive("With the auxiliary loss the encoder changes.", "encoder_change_with_aux",
                        "change of the encoder's parameters with the auxiliary loss"),
        Claim(
            text="With the auxiliary loss the network learns to predict the next view, better than any constant.",
            judge=_judge_aux_loss_falls,
            since=2,
        ),
    ),
    figures=_figures,
    num_seeds=5,
    definition=2,
    changes={2: "the learned prediction is compared with the best constant on new episodes, not with its own start"},
    budgets=("smoke", "desk"),
    measure_extra=_measure,
)  # fmt: skip
