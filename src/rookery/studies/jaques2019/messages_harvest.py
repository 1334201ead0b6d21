"""`messages.py` in Harvest."""

from rookery.studies.jaques2019.messages import study

STUDY = study("jaques2019/messages-harvest", "harvest")
