"""Every study of other papers than Ndousse et al. 2021 from nothing to its report; they share runs and programs."""

import pytest

from rookery.studies.study_list import STUDIES
from tests.studies.smoke import check_smoke

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_programs")]


# The studies in Harvest are those in Cleanup with another map; `test_trained_teams.py` builds them.
@pytest.mark.parametrize(
    "name", [name for name in STUDIES if not name.startswith("ndousse2021/") and not name.endswith("-harvest")]
)
def test_smoke(name, run, runs):
    check_smoke(name, run, runs)
