"""What the next-frame loss has learned: the next view for every action, beside what that action brings.

The truth of an action not taken is found by stepping the very same world with it.

Source: Ndousse et al. 2021, figure 2: accurate but for "do nothing", which is rarely taken.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from rookery.agents.team import act_all, initial_carry
from rookery.learning.auxiliary import NextFrame
from rookery.learning.ppo import PPO
from rookery.runs.evaluation import evaluation_key
from rookery.runs.trainer import load_state
from rookery.show.plots import interval_dots
from rookery.studies import figures, statistics
from rookery.studies.claims import enough, verdict
from rookery.studies.ndousse2021.programs import EXPERTS, HOME, NEXT, SOCIAL_NEXT
from rookery.studies.pictures import gallery, to_rgb
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import Claim, Judgement, Study
from rookery.world.spec import ACTION_NAMES

EPISODES = {"smoke": 2, "desk": 32, "paper": 8}
DOMAIN = 30_000
"""Of the keys of these episodes."""
IDLE = ACTION_NAMES[3:]
"""Actions that do nothing in these worlds."""


def _predictions(session: Session) -> dict:
    """For each seed the error of each action's prediction and how often it was taken; a few pictures of the first."""
    program, state = load_state(session.folder(NEXT))
    params, config = state.learners["novice"].params, program.config
    learner = config.team[0].learner
    assert isinstance(learner, PPO)
    loss = next(a for a in learner.auxiliary if isinstance(a, NextFrame))
    stage, agents = session.stage(HOME), session.subjects(SOCIAL_NEXT.agents)
    play = None
    found: dict = {"actions": list(ACTION_NAMES[: stage.env.actions]), "error": [], "taken": [], "copying": []}
    for seed, agent in zip(session.own_seeds, agents, strict=True):
        member = config.members.index(("social", seed))
        decoder = jax.tree.map(lambda x, m=member: jnp.asarray(x[m, 0]), params["auxiliary"][loss.kind])
        team, frozen = stage.team(agent.policy)
        play = play or jax.jit(_player(stage.env, team, loss, EPISODES[session.budget]))
        told, shown = jax.device_get(play(frozen, decoder, evaluation_key(seed, DOMAIN)))
        for name in ("error", "taken", "copying"):
            found[name].append(np.asarray(told[name], float).round(6).tolist())
        if "pictures" not in found:
            found["pictures"] = _pictures(shown)
    return found


def _player(env, team, loss: NextFrame, episodes: int):
    """A function of parameters, decoder and key: means over all steps, and one episode's frames."""
    policy, actions = team.groups[0].policy, env.actions

    def play(params, decoder, key):
        reset_key, act_key = jax.random.split(key)
        env_params = env.default_params()
        everyone = jnp.ones((episodes, env.agents), bool)
        state, told = jax.vmap(env.reset, (0, None, 0))(jax.random.split(reset_key, episodes), env_params, everyone)
        carries = {group.name: initial_carry(group, episodes) for group in team.groups}

        def seen(told):
            first = told.observation[0] if isinstance(told.observation, tuple) else told.observation[:, 0]
            return first.astype(jnp.float32) / 255

        def step(loop, t):
            state, told, carries = loop
            action, carries = act_all(team, params, carries, told, state, jax.random.fold_in(act_key, t))
            hidden = carries["subject"].hidden[0]

            def other(a):
                instead = jnp.full(episodes, a, jnp.int32)
                predicted = loss.predict(decoder, policy, hidden, instead)
                _, brought = jax.vmap(env.step, (0, 0, None))(state, action.at[:, 0].set(instead), env_params)
                return predicted, seen(brought)

            predicted, truth = jax.vmap(other)(jnp.arange(actions))  # [A, E, ...]
            away = lambda x: jnp.abs(x - truth).reshape(actions, -1).mean(-1)  # noqa: E731
            sums = {
                "error": away(predicted),
                "copying": away(seen(told)[None]),
                "taken": jax.nn.one_hot(action[:, 0], actions).mean(0),
            }
            frames = {"now": seen(told)[0], "predicted": predicted[:, 0], "truth": truth[:, 0]}
            state, told = jax.vmap(env.step, (0, 0, None))(state, action, env_params)
            return (state, told, carries), (sums, frames)

        _, (sums, frames) = jax.lax.scan(step, (state, told, carries), jnp.arange(env.max_steps))
        return jax.tree.map(lambda x: x.mean(0), sums), frames

    return play


def _pictures(shown: dict) -> dict:
    """Of one episode the step after which the actions' views differ most: now, and each action's two pictures."""
    spread = np.asarray(shown["truth"]).std(1).reshape(len(shown["now"]), -1).mean(-1)
    step = int(spread.argmax())
    colours = {name: to_rgb(np.asarray(value[step])).round(2).tolist() for name, value in shown.items()}
    return {"step": step, **colours}


def _accurate(results: Results) -> Judgement:
    told = results.data["measured"]
    taken, error, copying = (np.array(told[k], float) for k in ("taken", "error", "copying"))
    used = np.array([name not in IDLE for name in told["actions"]])
    weight = taken * used
    share = (error * weight).sum(1) / np.maximum((copying * weight).sum(1), 1e-9)
    found = enough(statistics.mean_over_seeds(share), len(share))
    named = "error of the predicted view as a share of the error of predicting no change, moves taken; claimed < 1"
    return Judgement(verdict(found, below=1.0), named, found)


def _idle_is_worse(results: Results) -> Judgement:
    """Judged only where there are actions that do nothing."""
    told = results.data["measured"]
    idle = np.array([name in IDLE for name in told["actions"]])
    nothing = statistics.Interval(float("nan"), float("nan"), float("nan"))
    named = "error for actions that do nothing less for the moves; claimed > 0"
    if not idle.any():
        return Judgement(verdict(nothing), f"{named}; this budget has only the moves", nothing)
    error = np.array(told["error"], float)
    excess = error[:, idle].mean(1) - error[:, ~idle].mean(1)
    found = enough(statistics.mean_over_seeds(excess), len(excess))
    return Judgement(verdict(found, above=0.0), named, found)


def _figures(results: Results) -> figures.Figures:
    told = results.data["measured"]
    pictures = told["pictures"]
    now, predicted, truth = (np.array(pictures[name]) for name in ("now", "predicted", "truth"))
    drawn = gallery(
        [[now, *predicted], [now, *truth]], titles=["now", *told["actions"]], labels=["predicted", "what came"]
    )
    rows = {}
    for number, action in enumerate(told["actions"]):
        rows[action] = np.array(told["error"], float)[:, number]
        rows[f"{action}, no change"] = np.array(told["copying"], float)[:, number]
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
    arms=(SOCIAL_NEXT, EXPERTS),
    scenes=(HOME,),
    claims=(
        Claim(text="The next view is predicted better than by no change.", judge=_accurate),
        Claim(text="It is predicted worse for actions that do nothing and are rarely taken.", judge=_idle_is_worse),
    ),
    figures=_figures,
    seeds=5,
    measure=_predictions,
)
