"""Studies of other packages; nothing of them is imported here.

Another installed package adds a study by an entry point of the group `rookery.studies`: its name is the study's, and it
names the `Study`, such as `mine/first = "my_package.first:STUDY"`.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from importlib import metadata

ENTRY_POINT_GROUP = "rookery.studies"


def other_packages_studies(own: Collection[str]) -> dict[str, metadata.EntryPoint]:
    """Studies of other packages, by name. One whose name is taken is left out, with a warning.

    Args:
      own: names of the studies of this package.
    """
    found: dict[str, metadata.EntryPoint] = {}
    for point in metadata.entry_points(group=ENTRY_POINT_GROUP):
        if point.name not in own and point.name not in found:
            found[point.name] = point
            continue
        keeper = "rookery" if point.name in own else _owner(found[point.name])
        warnings.warn(
            f"{_owner(point)}: its study {point.name!r} is left out, because {keeper} has one of that name; rename it",
            stacklevel=3,
        )
    return found


def _owner(point: metadata.EntryPoint) -> str:
    return point.dist.name if point.dist else "unknown package"
