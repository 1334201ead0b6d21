"""What the smoke tests of studies share."""

import os

import pytest


@pytest.fixture(scope="module")
def shared_programs():
    """Runs of studies share compiled programs."""
    from tests.studies.sharing import share_programs

    with pytest.MonkeyPatch.context() as patch:
        share_programs(patch)
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of the runs of all studies of a file, which share them."""
    return tmp_path_factory.mktemp("studies")


@pytest.fixture
def run(capsys, monkeypatch):
    """The command line: exit status, and what was printed and said of errors."""
    from rookery import cli

    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))

    def command(*arguments):
        capsys.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command
