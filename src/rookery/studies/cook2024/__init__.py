"""Studies of Cook et al. 2024, Artificial Generational Intelligence, arXiv:2406.00392."""
