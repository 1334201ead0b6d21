"""Studies of other packages; nothing of them is imported here.

Another installed package adds a study by an entry point of the group `rookery.studies`: its name is the study's, and it
names the `Study`, such as `mine/first = "my_package.first:STUDY"`.
"""

from __future__ import annotations

from importlib import metadata

ENTRY_POINT_GROUP = "rookery.studies"


def other_packages_studies() -> dict[str, metadata.EntryPoint]:
    """Studies of other packages, by name."""
    return {point.name: point for point in metadata.entry_points(group=ENTRY_POINT_GROUP)}
