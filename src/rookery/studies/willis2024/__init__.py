"""Studies of Willis et al. 2024, Resolving social dilemmas with minimal reward transfer, arXiv:2310.12928."""
