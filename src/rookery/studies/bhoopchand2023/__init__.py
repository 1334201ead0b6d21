"""Bhoopchand et al. 2023, Learning few-shot imitation as cultural transmission, arXiv:2203.00715."""
