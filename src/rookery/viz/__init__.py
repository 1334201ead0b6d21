"""Recorded episodes, pictures, replays, curves and report pages.

Plain numpy in, pictures and pages out. Drawing libraries are imported inside the functions that need them, so that
`import rookery.viz` is quick. `record_episode` and `render_state`, which run environments, are modules of their own:
they import JAX.
"""

from rookery.viz.frames import render_map, render_step
from rookery.viz.plots import figure_to_svg, interval_dots, learning_curves
from rookery.viz.recording import Recording
from rookery.viz.replay_page import replay_fragment, write_replay_html
from rookery.viz.report_page import Report
from rookery.viz.reward_events import RewardEvent, reward_events
from rookery.viz.video import write_gif, write_mp4, write_png

__all__ = [
    "Recording",
    "Report",
    "RewardEvent",
    "figure_to_svg",
    "interval_dots",
    "learning_curves",
    "render_map",
    "render_step",
    "replay_fragment",
    "reward_events",
    "write_gif",
    "write_mp4",
    "write_png",
    "write_replay_html",
]
