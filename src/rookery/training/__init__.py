"""Training runs: configuration, presets, schedules, the compiled update, the loop around it, and evaluation."""
