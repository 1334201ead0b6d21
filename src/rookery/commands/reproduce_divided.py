"""`rookery reproduce` with --shard or --ray: the study in tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rookery.commands.options import use_cores
from rookery.commands.output import print_json
from rookery.errors import STOPPED_EXIT_CODE, UNFINISHED_EXIT_CODE, ConfigError

if TYPE_CHECKING:
    from rookery.commands.reproduce import ReproduceCommand
    from rookery.scaling.tasks import Outcome
    from rookery.studies.session import Session
    from rookery.studies.study import Study


def run_divided(study: Study, session: Session, options: ReproduceCommand, log: Callable[[str], None]) -> int | None:
    """Do the study's tasks, or those of a shard. Returns the exit code; None: everything is done but judging."""
    return _run_shard(study, session, options, log) if options.shard else _run_ray(study, session, options, log)


def _run_shard(study: Study, session: Session, options: ReproduceCommand, log: Callable[[str], None]) -> int:
    from rookery.scaling.shards import Shard, agree_on_shards, check_shards, run_shard
    from rookery.scaling.tasks import begin_split

    assert options.shard is not None, "run_divided asks"
    shard = Shard.parse(options.shard)
    if not study.runs:
        raise ConfigError(
            f"{study.name} trains no run, so it cannot be divided (its agents are ready-made, or the process that "
            "judges trains them); leave out --shard"
        )
    replicas_per_task = 1 if options.replicas_per_task is None else options.replicas_per_task
    check_shards(study, session, shard)  # a call that is refused records nothing
    num_threads = begin_split(study, session, replicas_per_task, options.cores)
    agree_on_shards(study, session, shard)
    use_cores(options.cores, num_threads)
    code = _report(run_shard(study, session, shard, replicas_per_task, log), study, options)
    if code is None and options.json:
        print_json({"study": study.name, "shard": options.shard, "finished": True})
    return code or 0


def _run_ray(study: Study, session: Session, options: ReproduceCommand, log: Callable[[str], None]) -> int | None:
    from rookery.scaling.ray_cluster import RayOptions, check_cluster
    from rookery.scaling.ray_study import run_on_ray
    from rookery.scaling.tasks import begin_split

    num_gpus = options.num_gpus or 0.0
    each = options.replicas_per_task
    settings = RayOptions(
        address=options.ray[0] if options.ray else None,
        num_cpus=1 if options.num_cpus is None else options.num_cpus,
        num_gpus=num_gpus,
        replicas_per_task=(session.num_seeds if num_gpus else 1) if each is None else each,
        local_cpus=options.cores,
    )
    check_cluster(settings)

    def begin() -> int:
        num_threads = begin_split(study, session, settings.replicas_per_task, settings.num_cpus)
        use_cores(options.cores, num_threads)
        return num_threads

    return _report(run_on_ray(study, session, settings, begin, log), study, options)


def _report(outcome: Outcome, study: Study, options: ReproduceCommand) -> int | None:
    """Print what is missing. Returns the exit code; None: nothing is, and nothing was stopped."""
    if options.json and (outcome.missing or outcome.stopped):
        shard = {} if options.shard is None else {"shard": options.shard}
        print_json({"study": study.name, **shard, "finished": False, "missing": outcome.missing})
    elif outcome.missing:
        for label, reason in outcome.missing.items():
            print(f"missing: {label}: {reason}")
        count = f"{len(outcome.missing)} {'task is' if len(outcome.missing) == 1 else 'tasks are'} missing"
        print(f"{count}, so nothing is judged; run the same command to try again")
    elif outcome.stopped:
        print("stopped; run the same command to continue")
    if outcome.missing:
        return UNFINISHED_EXIT_CODE
    return STOPPED_EXIT_CODE if outcome.stopped else None
