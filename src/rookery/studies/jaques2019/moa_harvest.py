"""`moa.py` in Harvest."""

from rookery.studies.jaques2019.moa import moa_study

STUDY = moa_study("jaques2019/moa-harvest", "harvest")
