"""Studies of other packages whose names are taken."""

from importlib import metadata

import pytest

from rookery.studies import entry_points
from rookery.studies.entry_points import other_packages_studies


def test_the_first_study_of_a_name_is_kept_and_the_others_are_named(monkeypatch):
    points = [
        metadata.EntryPoint(name, value, entry_points.ENTRY_POINT_GROUP)
        for name, value in (("mine/first", "a:STUDY"), ("mine/first", "b:STUDY"), ("ndousse2021/fig4", "c:STUDY"))
    ]
    monkeypatch.setattr(entry_points.metadata, "entry_points", lambda group: points)
    with pytest.warns(UserWarning, match="is left out") as caught:
        found = other_packages_studies({"ndousse2021/fig4"})
    assert found == {"mine/first": points[0]}
    assert [str(warning.message) for warning in caught] == [
        f"unknown package: its study {name!r} is left out, because {keeper} has one of that name; rename it"
        for name, keeper in (("mine/first", "unknown package"), ("ndousse2021/fig4", "rookery"))
    ]
