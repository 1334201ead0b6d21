"""`messages.py` in Harvest."""

from rookery.studies.jaques2019.messages import messages_study

STUDY = messages_study("jaques2019/messages-harvest", "harvest")
