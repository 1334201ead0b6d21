"""Jaques et al. 2019, social influence: one file per study, and the runs that they share."""
