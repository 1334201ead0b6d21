"""Where a run's metrics go besides `metrics.jsonl`, and how they are read again as tables.

A tracker is one class (`rookery.tracking.tracker.Tracker`) in the registry `rookery.plugins.TRACKERS`; other packages
add theirs by the entry point group `rookery.trackers`. Nothing here imports JAX.
"""
