"""What the next-frame loss learns: the predicted next view for every action, compared with the actual one.

The actual view after an action that was not taken comes from stepping the same state with that action.

Source: Ndousse et al. 2021, figure 2: accurate except for "do nothing", which is rarely taken.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.team_setup import TeamSetup
from rookery.gridworld.spec import ACTION_NAMES
from rookery.intervals import Interval
from rookery.keys import FRAME_PREDICTION_EPISODES
from rookery.learning.auxiliary import NextFramePrediction
from rookery.studies import budgets
from rookery.studies.claims import judge_mean
from rookery.studies.episode_scan import scan_episodes
from rookery.studies.frozen_evaluation import AGENT_GROUP
from rookery.studies.image_grid import image_grid, view_to_rgb
from rookery.studies.mechanisms import prediction_error_ratio
from rookery.studies.ndousse2021.shared_runs import EXPERT_AGENTS, GOAL_CYCLE_3, NEXT_FRAME_RUN, SOCIAL_NEXT_FRAME
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import UNDECIDED, Claim, Figures, Study, Verdict
from rookery.training.evaluation import evaluation_key
from rookery.training.trainer import load_state
from rookery.viz.plots import interval_dots

_NUM_EPISODES = {"smoke": 2, "desk": 32, "paper": 8}
_IDLE_ACTIONS = ACTION_NAMES[3:]
"""Actions without effect in these tasks."""
_SUMS = ("prediction_error", "action_frequency", "no_change_error")


def _measure_predictions(session: Session) -> dict:
    """By seed: the prediction error of each action and how often it is taken; a few images of the first seed.

    The error is the one that the loss is trained by: absolute for pixels as in the paper, squared for symbolic views,
    whose absolute error is smallest for a constant.
    """
    run, state = load_state(session.run_dir(NEXT_FRAME_RUN))
    params = state.learners["novice"].params
    learner = run.config.team[0].learner
    assert learner is not None, "the novice learns"
    loss = next(a for a in learner.auxiliary if a.kind == "next-frame")
    evaluator = session.evaluator(GOAL_CYCLE_3)
    agents = SOCIAL_NEXT_FRAME.agents.evaluated_agents(session)
    play = None
    is_squared = evaluator.task.views[0].observation_type != "pixels"
    found: dict = {
        "error": "squared" if is_squared else "absolute",
        "actions": list(ACTION_NAMES[: evaluator.env.num_actions]),
        **{name: [] for name in _SUMS},
    }
    for seed, agent in zip(session.seed_range, agents, strict=True):
        replica = run.config.replicas.index(("social", seed))
        decoder = jax.tree.map(lambda x, r=replica: jnp.asarray(x[r, 0]), params["auxiliary"][loss.kind])
        setup = evaluator.build_team(agent)
        play = play or jax.jit(_compile_rollout(setup, loss, _NUM_EPISODES[session.budget], is_squared))
        means, frames = jax.device_get(play(setup.params, decoder, evaluation_key(seed, FRAME_PREDICTION_EPISODES)))
        for name in _SUMS:
            found[name].append(np.asarray(means[name], float).round(6).tolist())
        if "images" not in found:
            found["images"] = _select_images(frames)
    return found


def _compile_rollout(setup: TeamSetup, loss: NextFramePrediction, num_episodes: int, is_squared: bool):
    """A function of parameters, decoder and key that returns means over all steps, and one episode's frames."""
    env, team = setup.env, setup.team
    policy, num_actions = team.groups[0].policy, env.num_actions
    assert isinstance(policy, RecurrentPolicy), "the novice is recurrent"

    def play(params, decoder, key):
        def frame(timestep):
            views = timestep.observation
            own = views[0] if isinstance(views, tuple) else views[:, 0]
            return own.astype(jnp.float32) / 255

        def record(step):
            hidden = step.carries[AGENT_GROUP].hidden[0]

            def outcome(a):
                action = jnp.full(num_episodes, a, jnp.int32)
                predicted = loss.predict(decoder, policy, hidden, action)
                joint = step.action.at[:, 0].set(action)
                _, timestep = jax.vmap(env.step, (0, 0, None))(step.state, joint, env.default_params())
                return predicted, frame(timestep)

            predicted, actual = jax.vmap(outcome)(jnp.arange(num_actions))  # [A, E, ...]

            def error(x):
                size = (x - actual) ** 2 if is_squared else jnp.abs(x - actual)
                return size.reshape(num_actions, -1).mean(-1)

            now = frame(step.timestep)
            means = {
                "prediction_error": error(predicted),
                "no_change_error": error(now[None]),
                "action_frequency": jax.nn.one_hot(step.action[:, 0], num_actions).mean(0),
            }
            return means, {"now": now[0], "predicted": predicted[:, 0], "actual": actual[:, 0]}

        means, frames = scan_episodes(env, team, params, key, num_episodes, record)
        return jax.tree.map(lambda x: x.mean(0), means), frames

    return play


def _select_images(frames: dict) -> dict:
    """The step of one episode after which the actions' views differ most: the view now, and two for each action."""
    variation = np.asarray(frames["actual"]).std(1).reshape(len(frames["now"]), -1).mean(-1)
    step = int(variation.argmax())
    images = {name: view_to_rgb(np.asarray(value[step])).round(2).tolist() for name, value in frames.items()}
    return {"step": step, **images}


def _judge_accuracy(results: Results) -> Verdict:
    quantity = "error of the predicted view as a fraction of the error of predicting no change; claimed < 1"
    return judge_mean(prediction_error_ratio(results), quantity, below=1.0)


def _judge_every_move(results: Results) -> Verdict:
    """The worst of the actions that have an effect."""
    error, no_change = (np.array(results.extra[name], float) for name in ("prediction_error", "no_change_error"))
    is_move = np.array([name not in _IDLE_ACTIONS for name in results.extra["actions"]])
    ratio = error[:, is_move] / np.maximum(no_change[:, is_move], 1e-9)
    moves = [name for name in results.extra["actions"] if name not in _IDLE_ACTIONS]
    means = ", ".join(f"{name} {mean:.2f}" for name, mean in zip(moves, ratio.mean(0), strict=True))
    quantity = "the same for the worst predicted move of each seed; claimed < 1"
    return judge_mean(ratio.max(1), quantity, below=1.0, detail=means)


def _judge_idle_worse(results: Results) -> Verdict:
    """Judged only where there are actions without effect."""
    is_idle = np.array([name in _IDLE_ACTIONS for name in results.extra["actions"]])
    quantity = "error for actions without effect minus error for moves; claimed > 0"
    if not is_idle.any():
        return Verdict(UNDECIDED, f"{quantity}; this budget has only the moves", Interval.unknown())
    error = np.array(results.extra["prediction_error"], float)
    return judge_mean(error[:, is_idle].mean(1) - error[:, ~is_idle].mean(1), quantity, above=0.0)


def _figures(results: Results) -> Figures:
    images, actions = results.extra["images"], results.extra["actions"]
    now, predicted, actual = (np.array(images[name]) for name in ("now", "predicted", "actual"))
    grid = image_grid([[now, *predicted], [now, *actual]], titles=["now", *actions], labels=["predicted", "actual"])
    rows = {}
    for number, action in enumerate(actions):
        rows[action] = np.array(results.extra["prediction_error"], float)[:, number]
        rows[f"{action}, no change"] = np.array(results.extra["no_change_error"], float)[:, number]
    error = results.extra.get("error", "absolute")
    dots = interval_dots(rows, xlabel=f"mean {error} error (0 to 1)")
    caption = f"The view at step {images['step']} of an episode, and the next view for every action."
    return [
        ("figure", grid, caption),
        ("errors", dots, "Error of the predicted next view for each action, and of predicting no change."),
    ]


STUDY = Study(
    name="ndousse2021/fig2",
    title="Predicting the next view",
    source="Ndousse et al. 2021, figure 2",
    compares="predicted and actual next frame for every action, with the error of each action",
    conditions=(SOCIAL_NEXT_FRAME, EXPERT_AGENTS),
    eval_conditions=(GOAL_CYCLE_3,),
    claims=(
        Claim(text="The predicted next view has a smaller error than predicting no change.", judge=_judge_accuracy),
        Claim(text="So has the prediction for each move.", judge=_judge_every_move),
        Claim(
            text="The prediction is worse for actions without effect, which are rarely taken.", judge=_judge_idle_worse
        ),
    ),
    figures=_figures,
    num_seeds=12,
    definition=3,
    changes={2: budgets.DEFINITION_2, 3: budgets.DEFINITION_3},
    measure_extra=_measure_predictions,
)
