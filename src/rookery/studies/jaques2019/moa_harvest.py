"""`moa.py` in Harvest."""

from rookery.studies.jaques2019.moa import study

STUDY = study("jaques2019/moa-harvest", "harvest")
