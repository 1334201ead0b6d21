"""Goals shown and the full penalty from the start, as in the paper: do agents learn to follow, given time?"""

from rookery.studies.ndousse2021 import paper_gap
from rookery.studies.ndousse2021.easy_setting import EASY_CONDITION
from rookery.studies.ndousse2021.extended_training import extended_study

STUDY = extended_study(
    "plain",
    paper_gap.SCHEDULE_CHANGES["plain"][0],
    paper_gap.SCHEDULE_CHANGES_RUN,
    ("plain", "plain-vanilla"),
    EASY_CONDITION,
)
