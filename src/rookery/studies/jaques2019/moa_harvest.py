"""`moa_study.py` in Harvest."""

from rookery.studies.jaques2019.moa_study import moa_study

STUDY = moa_study("jaques2019/moa-harvest", "harvest")
