"""Checks anyone can run on their own recordings: `python -m rookery.testing trace FILE.npz ...`."""
