"""The page on the command line is current, and names every environment variable that the code reads."""

import re
import subprocess
from pathlib import Path

import pytest

from rookery import cli, environment
from rookery.commands import reference
from rookery.errors import ConfigError

ROOT = Path(__file__).parents[2]


def test_the_page_is_current():
    """After a change to a command: `python -m rookery.commands.reference`."""
    page = reference.make_page({name: cli.command_class(name) for name in cli.COMMANDS})
    assert (ROOT / reference.PAGE).read_text() == page


def test_a_command_has_all_its_options():
    section = reference.describe_command("train", cli.command_class("train"))
    assert "`rookery train [PRESET] [KEY=VALUE] [OPTIONS]`" in section
    assert "| `--seeds INT` | the preset's | Number of seeds of each variant;" in section
    assert "| `--dry-run` | no | Print the complete configuration and do nothing. |" in section
    assert "| `AGENT` | required |" in reference.describe_command("eval", cli.command_class("eval"))


def test_every_command_that_ends_with_a_result_prints_it_as_json():
    fields = {name: cli.command_class(name).__dataclass_fields__ for name in cli.COMMANDS}
    assert [name for name in fields if "json" not in fields[name]] == ["play"]


def test_every_variable_is_in_the_table():
    paths = [*ROOT.glob("src/**/*.py"), *ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/*.py"), ROOT / "Makefile"]
    read = {name for path in paths for name in re.findall(r"ROOKERY_[A-Z_]+[A-Z]", path.read_text())}
    assert read == {*environment.VARIABLES, *environment.TEST_VARIABLES}


def test_a_variable_is_checked(monkeypatch):
    monkeypatch.setenv("ROOKERY_LOG", "warn")
    with pytest.raises(ConfigError, match="ROOKERY_LOG='warn' is not known; did you mean 'warning'"):
        environment.read_variable("ROOKERY_LOG")
    monkeypatch.setenv("ROOKERY_LOG", "")
    assert environment.read_variable("ROOKERY_LOG") == "warning"


def test_completion_is_installed_where_the_shell_looks(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    assert cli.main(["--install-completion"]) == 0
    path = tmp_path / ".local/share/bash-completion/completions/rookery"
    assert capsys.readouterr().out.startswith(f"{path}\nnext: ")
    script = path.read_text()
    assert all(text in script for text in (*cli.COMMANDS, "--dry-run", "--time-limit"))
    assert subprocess.run(["bash", "-n", path]).returncode == 0
