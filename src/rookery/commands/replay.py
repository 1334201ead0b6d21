"""`rookery replay`: record one episode as a web page, a GIF, a video or a picture."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from rookery.commands.options import Json, PartnersOption, TaskId, TaskOverrides, flags, given, optional, working
from rookery.commands.output import print_json
from rookery.errors import ConfigError

if TYPE_CHECKING:
    from rookery.viz.recording import Recording


@dataclasses.dataclass
class ReplayCommand:
    """Record one episode: a GIF and a self-contained HTML player (map, each agent's view, rewards), or a video."""

    agent: Annotated[
        Positional[str],
        arg(
            metavar="AGENT",
            help="A zoo agent, a .safetensors file, 'scripted', 'scripted-partial' or 'random'; or the folder of a "
            "run, whose whole team then plays, with arrows for influence between agents where it was rewarded.",
        ),
    ]
    out: Path = Path("replay")
    """Path of the files, without the ending."""
    task: TaskId = None
    """Task to play."""
    task_overrides: TaskOverrides = ()
    """Changes to the task, such as penalty=0.5 or num_goals=4."""
    partners: PartnersOption = None
    """The agent in all other slots, as for `eval`; 'none': no other agents."""
    variant: Annotated[str | None, optional("NAME", "the first")] = None
    """For the folder of a run: the variant to record."""
    train_seed: Annotated[int | None, optional("SEED", "the first")] = None
    """For the folder of a run: the seed that the team was trained with."""
    seed: int = 0
    """Seed of the episode."""
    gif: bool = True
    """Write a GIF; --no-gif writes none."""
    mp4: bool = False
    """Write a video; needs ffmpeg, which the extra `video` installs."""
    png: Annotated[int | None, optional("STEP", "no picture")] = None
    """Write a picture of this step; -1 is the last."""
    json: Json = False

    def __call__(self) -> int:
        return run_replay(self)


def run_replay(options: ReplayCommand) -> int:
    """Write the files and print their paths."""
    from rookery.storage.atomic import check_writable
    from rookery.viz.frames import check_step
    from rookery.viz.replay_page import write_replay_html
    from rookery.viz.video import find_ffmpeg, write_gif, write_mp4, write_png

    if not options.out.name:
        raise ConfigError(
            f"--out {options.out} is a folder; give the files a name in it, such as {options.out / 'replay'}"
        )
    name = options.out.stem if options.out.suffix in (".html", ".gif", ".mp4", ".png") else options.out.name

    def path(ending: str) -> Path:
        return options.out.with_name(f"{name}.{ending}")  # not with_suffix: a name may have a dot

    requested = {"html": True, "gif": options.gif, "mp4": options.mp4, "png": options.png is not None}
    for ending in (ending for ending, is_requested in requested.items() if is_requested):
        check_writable(path(ending), follow_link=True)
    if options.mp4:
        find_ffmpeg()
    with working("playing the episode"):
        recording = _record(options)
    step = options.png or 0
    if step < 0:
        step += recording.num_steps + 1
    check_step(recording, step)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    writers = {"html": lambda: write_replay_html(recording, path("html"))}
    if options.gif:
        writers["gif"] = lambda: write_gif(recording, path("gif"))
    if options.mp4:
        writers["mp4"] = lambda: write_mp4(recording, path("mp4"))
    if options.png is not None:
        writers["png"] = lambda: write_png(recording, path("png"), step)
    for ending, write in writers.items():
        with working(f"writing {path(ending)}"):
            written = write()
        if options.json:
            print_json({"file": str(written)})
        else:
            print(written)
    return 0


def _record(options: ReplayCommand) -> Recording:
    import numpy as np

    from rookery.storage.atomic import is_folder
    from rookery.training.make_team import make_team_setup
    from rookery.training.trainer import load_learners
    from rookery.viz.record_episode import record_episode, record_run

    run_dir = Path(options.agent)
    _check_options(options, is_folder(run_dir))
    if is_folder(run_dir):
        run, learners, note = load_learners(run_dir, options.variant, options.train_seed)
        _check_png(options.png, run.env.max_steps)
        return record_run(run, learners, seed=options.seed, note=note)
    setup = make_team_setup(options.agent, options.partners, options.task, options.task_overrides)
    _check_png(options.png, setup.env.max_steps)
    agent_mask = np.ones(setup.env.num_agents, bool)
    return record_episode(setup.env, setup.team, setup.params, seed=options.seed, agent_mask=agent_mask)


def _check_png(step: int | None, max_steps: int) -> None:
    """Raises ConfigError for a step that no episode of the task has."""
    if step is not None and not -1 <= step <= max_steps:
        raise ConfigError(f"--png {step}: an episode has at most {max_steps} steps; allowed: 0 to {max_steps}, or -1")


def _check_options(options: ReplayCommand, is_run: bool) -> None:
    """Raises ConfigError for options of a run given with one agent, or the other way round."""
    unusable = given(options, ("task", "task_overrides", "partners") if is_run else ("variant", "train_seed"))
    if unusable:
        reason = (
            "the folder of a run plays its own task with its own team"
            if is_run
            else "only the folder of a run has variants and seeds"
        )
        raise ConfigError(f"{options.agent}: {flags(unusable)} cannot be used here; {reason}")
