"""`prior.py` in Harvest, where the published order of the two is the other way round."""

from rookery.studies.jaques2019.baselines import baselines_study

STUDY = baselines_study("jaques2019/baselines-harvest", "harvest")
