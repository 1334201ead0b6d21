"""Experiments of the first author's talk of 2020 that the paper does not show."""
