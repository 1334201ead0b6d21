"""What a person looks at: recorded episodes, frames, films, curves and the report page.

Plain numpy in, pictures and pages out; nothing here knows a learner, a task or JAX. Drawing libraries are
imported inside the functions that need them, so `import rookery.viz` is quick.
"""

from rookery.viz.frames import render_map, render_step
from rookery.viz.mean_intervals import mean_interval
from rookery.viz.plots import figure_to_svg, interval_dots, learning_curves
from rookery.viz.recording import Recording
from rookery.viz.report import Report
from rookery.viz.reward_events import RewardEvent, reward_events
from rookery.viz.video import replay_fragment, write_gif, write_mp4, write_png, write_replay_html

__all__ = [
    "Recording",
    "Report",
    "RewardEvent",
    "figure_to_svg",
    "interval_dots",
    "learning_curves",
    "mean_interval",
    "render_map",
    "render_step",
    "replay_fragment",
    "reward_events",
    "write_gif",
    "write_mp4",
    "write_png",
    "write_replay_html",
]
