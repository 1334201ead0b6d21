"""The grid: tiles, layout, motion, sight, paint. Knows no task."""
