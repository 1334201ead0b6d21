"""The paper's step size: too small for the walk's 3.2 million steps."""

from rookery.studies.ndousse2021 import walk
from rookery.studies.ndousse2021.longer import longer
from rookery.studies.ndousse2021.programs import HOME

STUDY = longer("slow", walk.COURSES["slow"][0], walk.IN_COURSES, ("slow", "slow-vanilla"), HOME)
