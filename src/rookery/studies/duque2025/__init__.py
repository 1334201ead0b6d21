"""Studies of Duque et al. 2025, Advantage Alignment, arXiv:2406.14662, and how agents play iterated matrix games."""
