"""Studies of Zhou et al. 2024, Reciprocators, arXiv:2406.01641."""
