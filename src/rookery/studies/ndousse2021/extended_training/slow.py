"""The paper's step size, which is too small for 3.2 million steps."""

from rookery.studies.ndousse2021 import paper_gap
from rookery.studies.ndousse2021.easy_setting import EASY_CONDITION
from rookery.studies.ndousse2021.extended_training import extended_study

STUDY = extended_study(
    "slow",
    paper_gap.SCHEDULE_CHANGES["slow"][0],
    paper_gap.SCHEDULE_CHANGES_RUN,
    ("slow", "slow-vanilla"),
    EASY_CONDITION,
)
