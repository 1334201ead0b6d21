"""One small episode, every number of it chosen by hand."""

import dataclasses

import numpy as np
import pytest

from rookery.viz import Recording

HOSTILE = '</script><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">&"\''


def walk() -> Recording:
    """Four steps on 5 rows × 9 columns, oblong so that a transposed axis shows.

    A walks east along row 1 from column 4 and enters goal 1 at (1, 7) with its third step: +1.
    B appears at step 1 on (3, 4), walks west and enters goal 2 at (3, 2) with its last step: -1.5.
    """
    tiles = np.zeros((5, 5, 9), np.uint8)
    tiles[:, 0, 0] = tiles[:, 4, 6] = 1
    tiles[:, 1, 7] = tiles[:, 3, 2] = 2
    position = np.array([[[1, 4 + t], [3, 5 - t]] for t in range(5)])
    position[0, 1], position[4, 1], position[3, 1] = (-1, -1), (3, 2), (3, 3)
    position[1, 1], position[2, 1] = (3, 4), (3, 4)
    active = np.ones((5, 2), bool)
    active[0, 1] = False
    reward = np.zeros((4, 2))
    reward[2, 0], reward[3, 1] = 1, -1.5
    visible = np.zeros((2, 5, 5, 9), bool)
    visible[0, :, 1, 4:7] = True  # of A; B sees nothing
    return Recording(
        task="goal-cycle",
        agent_names=("novice", "expert 1"),
        roles=("learning", "frozen"),
        tiles=tiles,
        position=position,
        heading=np.array([[1, 3]] * 5),
        agent_mask=active,
        prestige=np.array([[0.0, 1.0]] * 5),
        reward=reward,
        action=np.array([[1, -1], [1, 0], [1, 1], [1, 1]]),  # -1: absent agents do nothing
        action_names=("stay", "forward"),
        goals=[[1, 7], [3, 2]],
        views=(np.arange(5 * 3 * 4 * 3).reshape(5, 3, 4, 3), np.full((5, 2, 2, 3), 200)),
        visible=tuple(visible),
        note="by hand",
    )


@pytest.fixture
def recording():
    return walk()


@pytest.fixture
def hostile():
    """The same episode with every text trying to be markup."""
    return dataclasses.replace(
        walk(), task=HOSTILE, note=HOSTILE, agent_names=(HOSTILE, "b"), action_names=(HOSTILE, HOSTILE)
    )
