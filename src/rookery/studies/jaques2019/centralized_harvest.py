"""`centralized.py` in Harvest."""

from rookery.studies.jaques2019.centralized import centralized_study

STUDY = centralized_study("jaques2019/centralized-harvest", "harvest")
