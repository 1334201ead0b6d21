"""`centralized_study.py` in Harvest."""

from rookery.studies.jaques2019.centralized_study import centralized_study

STUDY = centralized_study("jaques2019/centralized-harvest", "harvest")
