"""Studies of McKee et al. 2020, social value orientation, arXiv:2002.02325."""
