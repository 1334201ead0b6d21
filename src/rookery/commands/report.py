"""`rookery report`: pages and verdicts of studies from their results, without running anything."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from rookery.commands.lists import RESULTS_DIR
from rookery.commands.options import Json
from rookery.commands.output import print_json
from rookery.commands.reproduce import print_verdicts
from rookery.errors import ConfigError, CorruptFileError, MissingPackageError, NotFoundError, RookeryError

ALL_STUDIES = "all"


@dataclasses.dataclass
class ReportCommand:
    """Draw a study's figures and page again from its results, judge its claims again, and index all results."""

    study: Annotated[
        Positional[str],
        arg(metavar="STUDY", help="Name of the study, such as ndousse2021/fig4; or 'all': every study with results."),
    ]
    results: Path = RESULTS_DIR
    """Folder of the results."""
    json: Json = False

    def __call__(self) -> int:
        return run_report(self)


def run_report(options: ReportCommand) -> int:
    """Write the page of one study or of all, and the index. Returns 0.

    Raises: NotFoundError for a folder without results; CorruptFileError for damaged ones, and ConfigError for another
      package's study that cannot be loaded, where all studies are asked for after the pages of the others.
    """
    from rookery.studies.verdict_index import studies_with_results, write_verdict_index

    damaged: RookeryError | None = None
    if options.study != ALL_STUDIES:
        _report(options.study, options.results, options.json)
    else:
        names = studies_with_results(options.results)
        if not names:
            raise NotFoundError(
                f"{options.results} holds no study's results; name their folder with --results, or run a study: "
                "rookery reproduce STUDY"
            )
        for name in names:
            if not options.json:
                print(name)
            try:
                _report(name, options.results, options.json)
            except MissingPackageError:
                raise
            except (CorruptFileError, ConfigError) as error:  # a ConfigError is of another package's study
                damaged = damaged or error
                if not options.json:
                    print(f"  left out: {error}")
    index = str(write_verdict_index(options.results).resolve())
    if options.json:
        print_json({"index": index})
    else:
        print(f"index: {index}")
    if damaged is not None:
        raise damaged
    return 0


def _report(name: str, results: Path, as_json: bool) -> None:
    from rookery.storage.atomic import restore_replaced
    from rookery.studies.judging import judge_claims
    from rookery.studies.results import Results
    from rookery.studies.results_io import describe_older_definition, judging_stored, read_results, write_results
    from rookery.studies.run_study import summarize_results
    from rookery.studies.study_list import load_study
    from rookery.studies.verdict_index import other_results

    folder = results / name
    study = load_study(name)
    restore_replaced(folder)
    data = read_results(folder)
    with judging_stored(folder):
        claims = judge_claims(study, data, other_results(results))
        data |= {"summary": summarize_results(Results(data)), "claims": claims}
        if describe_older_definition(study, data) is None:  # else the notes are of settings that were not used
            data["notes"] = list(study.notes)
        report = write_results(study, data, folder)
    print_verdicts(data, report, as_json)
