"""What a person looks at: recorded episodes, frames, films, curves and the report page.

Plain numpy in, pictures and pages out; nothing here knows a learner, a task or JAX. Drawing libraries are
imported inside the functions that need them, so `import rookery.show` is quick.
"""

from rookery.show.events import Event, events
from rookery.show.film import film_fragment, write_gif, write_html, write_mp4, write_png
from rookery.show.frames import paint_map, paint_step
from rookery.show.intervals import mean_interval
from rookery.show.plots import figure_to_svg, interval_dots, learning_curves
from rookery.show.recording import Recording
from rookery.show.report import Report

__all__ = [
    "Event",
    "Recording",
    "Report",
    "events",
    "figure_to_svg",
    "film_fragment",
    "interval_dots",
    "learning_curves",
    "mean_interval",
    "paint_map",
    "paint_step",
    "write_gif",
    "write_html",
    "write_mp4",
    "write_png",
]
