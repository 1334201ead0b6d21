"""Jaques et al. 2019, social influence: one file a study, and the programs they share."""
