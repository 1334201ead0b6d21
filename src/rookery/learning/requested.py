"""What a loss or an intrinsic reward is given of other agents: what it requests itself, whatever others request."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rookery.errors import ConfigError
from rookery.interfaces import OTHERS_INFO, AuxiliaryLoss, IntrinsicReward, Learner
from rookery.types import OthersInfo, Sequences, Trajectory

if TYPE_CHECKING:
    from rookery.agents.recurrent import RecurrentPolicy

Data = TypeVar("Data", Trajectory, Sequences)


def only_requested(part: AuxiliaryLoss | IntrinsicReward, data: Data) -> Data:
    """Episodes or a minibatch without what its learner, or another loss or reward of it, requests and `part` does not.

    A field that is left out is None, as where nothing requests it.
    """
    others = _only_requested_info(part, data.others)
    if isinstance(data, Sequences):
        return data._replace(others=others)
    return data.replace(others=others, logits=data.logits if "logits" in part.required_info else None)


def check_has_others(part: AuxiliaryLoss | IntrinsicReward | Learner, policy: RecurrentPolicy) -> None:
    """Raises ConfigError for what requests information about other agents in a task of one: it has no effect there."""
    if policy.num_agents < 2 and (requested := _about_others(part)):
        raise ConfigError(
            f"{part.kind!r} needs information about other agents ({', '.join(sorted(requested))}), and the task has "
            "one agent; give the task a view for each of several agents, or take out what needs it"
        )


def _about_others(part: AuxiliaryLoss | IntrinsicReward | Learner) -> set[str]:
    return set(part.required_info) & {*OTHERS_INFO, "influence"}


def _only_requested_info(part: AuxiliaryLoss | IntrinsicReward, others: OthersInfo | None) -> OthersInfo | None:
    if others is None or not _about_others(part):
        return None
    influence = None
    if "influence" in part.required_info and others.influence is not None:
        influence = {kind: value for kind, value in others.influence.items() if kind == part.kind}
    return others.replace(influence=influence, **{name: None for name in OTHERS_INFO if name not in part.required_info})
