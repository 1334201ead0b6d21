"""The rewards and penalties of a recording in words."""

import dataclasses

from rookery.viz.recording import Recording


@dataclasses.dataclass(frozen=True)
class RewardEvent:
    """One nonzero reward. `step` is the state after the action: a replay at that step shows the agent on its goal."""

    step: int  # 1 … T
    agent: int
    reward: float
    text: str  # "+1 goal 2", "-1.5 mistake at goal 3", "+1 reward", "-0.1 penalty"


def reward_events(recording: Recording) -> list[RewardEvent]:
    """Every nonzero reward, in order of step and then agent.

    A reward of an agent on a numbered goal names the goal by its place in the order, from 1.
    """
    number = {(int(row), int(col)): k + 1 for k, (row, col) in enumerate(recording.goals)}
    events = []
    for t, agent in zip(*recording.reward.nonzero(), strict=True):
        reward = float(recording.reward[t, agent])
        row, col = recording.position[t + 1, agent]
        goal = number.get((int(row), int(col)))
        if goal is None:
            label = "reward" if reward > 0 else "penalty"
        else:
            label = f"goal {goal}" if reward > 0 else f"mistake at goal {goal}"
        events.append(RewardEvent(int(t) + 1, int(agent), reward, f"{reward:+.3g} {label}"))
    return events
