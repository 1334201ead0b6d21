"""What the next-frame loss has learned: the next view for every action, beside what that action brings.

The truth of an action not taken is found by stepping the very same world with it.

Source: Ndousse et al. 2021, figure 2: accurate but for "do nothing", which is rarely taken.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from rookery.agents.team import act_all, initial_carry
from rookery.gridworld.spec import ACTION_NAMES
from rookery.learning.auxiliary import NextFramePrediction
from rookery.learning.ppo import PPO
from rookery.studies import figures, statistics
from rookery.studies.claims import judge_interval, withhold_if_few_seeds
from rookery.studies.image_grid import image_grid, view_to_rgb
from rookery.studies.ndousse2021.shared_runs import EXPERT_AGENTS, GOAL_CYCLE_3, NEXT_FRAME_RUN, SOCIAL_NEXT_FRAME
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import Claim, Study, Verdict
from rookery.training.evaluation import evaluation_key
from rookery.training.trainer import load_state
from rookery.viz.plots import interval_dots

_NUM_EPISODES = {"smoke": 2, "desk": 32, "paper": 8}
_EVAL_STREAM = 30_000
"""Of the keys of these episodes."""
_IDLE_ACTIONS = ACTION_NAMES[3:]
"""Actions that do nothing in these worlds."""


def _measure_predictions(session: Session) -> dict:
    """For each seed the error of each action's prediction and how often it was taken; a few pictures of the first."""
    program, state = load_state(session.run_dir(NEXT_FRAME_RUN))
    params, config = state.learners["novice"].params, program.config
    learner = config.team[0].learner
    assert isinstance(learner, PPO)
    loss = next(a for a in learner.auxiliary if isinstance(a, NextFramePrediction))
    stage, agents = session.evaluator(GOAL_CYCLE_3), session.evaluated_agents(SOCIAL_NEXT_FRAME.agents)
    play = None
    found: dict = {"actions": list(ACTION_NAMES[: stage.env.num_actions]), "prediction_error": [], "action_frequency": [], "no_change_error": []}
    for seed, agent in zip(session.seed_range, agents, strict=True):
        member = config.replicas.index(("social", seed))
        decoder = jax.tree.map(lambda x, m=member: jnp.asarray(x[m, 0]), params["auxiliary"][loss.kind])
        team, frozen = stage.build_team(agent.policy)
        play = play or jax.jit(_compile_rollout(stage.env, team, loss, _NUM_EPISODES[session.budget]))
        told, shown = jax.device_get(play(frozen, decoder, evaluation_key(seed, _EVAL_STREAM)))
        for name in ("prediction_error", "action_frequency", "no_change_error"):
            found[name].append(np.asarray(told[name], float).round(6).tolist())
        if "images" not in found:
            found["images"] = _select_images(shown)
    return found


def _compile_rollout(env, team, loss: NextFramePrediction, episodes: int):
    """A function of parameters, decoder and key: means over all steps, and one episode's frames."""
    policy, actions = team.groups[0].policy, env.num_actions

    def play(params, decoder, key):
        reset_key, act_key = jax.random.split(key)
        env_params = env.default_params()
        everyone = jnp.ones((episodes, env.num_agents), bool)
        state, told = jax.vmap(env.reset, (0, None, 0))(jax.random.split(reset_key, episodes), env_params, everyone)
        carries = {group.name: initial_carry(group, episodes) for group in team.groups}

        def seen(told):
            first = told.observation[0] if isinstance(told.observation, tuple) else told.observation[:, 0]
            return first.astype(jnp.float32) / 255

        def step(loop, t):
            state, told, carries = loop
            action, carries = act_all(team, params, carries, told, state, jax.random.fold_in(act_key, t))
            hidden = carries["evaluated"].hidden[0]

            def other(a):
                instead = jnp.full(episodes, a, jnp.int32)
                predicted = loss.predict(decoder, policy, hidden, instead)
                _, brought = jax.vmap(env.step, (0, 0, None))(state, action.at[:, 0].set(instead), env_params)
                return predicted, seen(brought)

            predicted, truth = jax.vmap(other)(jnp.arange(actions))  # [A, E, ...]
            away = lambda x: jnp.abs(x - truth).reshape(actions, -1).mean(-1)  # noqa: E731
            sums = {
                "prediction_error": away(predicted),
                "no_change_error": away(seen(told)[None]),
                "action_frequency": jax.nn.one_hot(action[:, 0], actions).mean(0),
            }
            frames = {"now": seen(told)[0], "predicted": predicted[:, 0], "actual": truth[:, 0]}
            state, told = jax.vmap(env.step, (0, 0, None))(state, action, env_params)
            return (state, told, carries), (sums, frames)

        _, (sums, frames) = jax.lax.scan(step, (state, told, carries), jnp.arange(env.max_steps))
        return jax.tree.map(lambda x: x.mean(0), sums), frames

    return play


def _select_images(shown: dict) -> dict:
    """Of one episode the step after which the actions' views differ most: now, and each action's two pictures."""
    spread = np.asarray(shown["actual"]).std(1).reshape(len(shown["now"]), -1).mean(-1)
    step = int(spread.argmax())
    colors = {name: view_to_rgb(np.asarray(value[step])).round(2).tolist() for name, value in shown.items()}
    return {"step": step, **colors}


def _judge_accuracy(results: Results) -> Verdict:
    told = results.data["extra_measurements"]
    taken, error, copying = (np.array(told[k], float) for k in ("action_frequency", "prediction_error", "no_change_error"))
    used = np.array([name not in _IDLE_ACTIONS for name in told["actions"]])
    weight = taken * used
    share = (error * weight).sum(1) / np.maximum((copying * weight).sum(1), 1e-9)
    found = withhold_if_few_seeds(statistics.mean_over_seeds(share), len(share))
    named = "error of the predicted view as a share of the error of predicting no change, moves taken; claimed < 1"
    return Verdict(judge_interval(found, below=1.0), named, found)


def _judge_idle_worse(results: Results) -> Verdict:
    """Judged only where there are actions that do nothing."""
    told = results.data["extra_measurements"]
    idle = np.array([name in _IDLE_ACTIONS for name in told["actions"]])
    nothing = statistics.Interval(float("nan"), float("nan"), float("nan"))
    named = "error for actions that do nothing less for the moves; claimed > 0"
    if not idle.any():
        return Verdict(judge_interval(nothing), f"{named}; this budget has only the moves", nothing)
    error = np.array(told["prediction_error"], float)
    excess = error[:, idle].mean(1) - error[:, ~idle].mean(1)
    found = withhold_if_few_seeds(statistics.mean_over_seeds(excess), len(excess))
    return Verdict(judge_interval(found, above=0.0), named, found)


def _figures(results: Results) -> figures.Figures:
    told = results.data["extra_measurements"]
    pictures = told["images"]
    now, predicted, truth = (np.array(pictures[name]) for name in ("now", "predicted", "actual"))
    drawn = image_grid(
        [[now, *predicted], [now, *truth]], titles=["now", *told["actions"]], labels=["predicted", "what came"]
    )
    rows = {}
    for number, action in enumerate(told["actions"]):
        rows[action] = np.array(told["prediction_error"], float)[:, number]
        rows[f"{action}, no change"] = np.array(told["no_change_error"], float)[:, number]
    dots = interval_dots(rows, xlabel="mean absolute error (0 to 1)")
    text = f"The view at step {pictures['step']} of an episode, and the next for every action: predicted, and as it is."
    return [
        ("figure", drawn, text),
        ("errors", dots, "Error of the predicted next view for each action, and of predicting no change."),
    ]


STUDY = Study(
    name="ndousse2021/fig2",
    title="Predicting the next view",
    source="Ndousse et al. 2021, figure 2",
    compares="predicted next frame for every action, pictures beside the truth, error per action",
    conditions=(SOCIAL_NEXT_FRAME, EXPERT_AGENTS),
    eval_conditions=(GOAL_CYCLE_3,),
    claims=(
        Claim(text="The next view is predicted better than by no change.", judge=_judge_accuracy),
        Claim(text="It is predicted worse for actions that do nothing and are rarely taken.", judge=_judge_idle_worse),
    ),
    figures=_figures,
    num_seeds=5,
    measure_extra=_measure_predictions,
)
