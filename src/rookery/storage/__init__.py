"""Files that must never be lost or half-written: atomic writes, locks, checkpoints, metrics, datasets, JSON."""
