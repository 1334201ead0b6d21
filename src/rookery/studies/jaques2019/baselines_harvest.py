"""`baselines.py` in Harvest, where the published order of influence and inequity aversion is the opposite."""

from rookery.studies.jaques2019.baselines import baselines_study

STUDY = baselines_study("jaques2019/baselines-harvest", "harvest")
