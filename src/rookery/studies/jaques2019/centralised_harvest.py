"""`centralised.py` in Harvest."""

from rookery.studies.jaques2019.centralised import study

STUDY = study("jaques2019/centralised-harvest", "harvest")
