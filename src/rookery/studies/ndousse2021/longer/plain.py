"""Goals shown and the full penalty from the start, as in the paper: does anybody learn to follow, given time?"""

from rookery.studies.ndousse2021 import walk
from rookery.studies.ndousse2021.longer import longer
from rookery.studies.ndousse2021.programs import HOME

STUDY = longer("plain", walk.COURSES["plain"][0], walk.IN_COURSES, ("plain", "plain-vanilla"), HOME)
