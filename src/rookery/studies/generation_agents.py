"""The agents of one generation as a condition of a study."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from rookery.storage.atomic import refuse_link
from rookery.storage.run_files import read_status
from rookery.studies.agent_sources import AgentSource
from rookery.studies.frozen_evaluation import EvaluatedAgent
from rookery.studies.session import STUDIES_DIR, Session
from rookery.studies.training_run import Budget
from rookery.training.config import FrozenPolicyConfig
from rookery.training.continue_run import is_finished
from rookery.training.generation_chain import GenerationsConfig, generation_dir, populations, train_generations


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerationAgents(AgentSource):
    """The best agent of a generation in every lineage, one lineage per seed."""

    name: str
    """Of the chain of generations; the same name is the same configuration."""
    configure: Callable[[Budget], GenerationsConfig]
    """The chain at a budget; the session fills in the seeds."""
    generation: int | None = None
    """From 1; None, or more than there are at a budget: the last."""

    def config(self, session: Session) -> GenerationsConfig:
        """The chain with the session's seeds as lineages."""
        config = self.configure(session.budget)
        return dataclasses.replace(
            config, run=dataclasses.replace(config.run, seed=session.seed), num_lineages=session.num_seeds
        )

    def folder(self, session: Session) -> Path:
        name = f"{self.name}-{session.budget}-seeds-{session.seed}-to-{session.seed_range[-1]}"
        return session.runs_dir / STUDIES_DIR / name

    def training_steps(self, budget: Budget, num_seeds: int) -> dict[str, int]:
        config = self.configure(budget)
        replicas = config.num_generations * config.population * num_seeds
        return {self.name: replicas * config.run.total_updates * config.run.steps_per_update}

    def prepare(self, session: Session) -> bool:
        """Train the whole chain, from wherever it stopped. Raises: as `train_generations`."""
        refuse_link(self.folder(session))
        return train_generations(
            self.config(session), self.folder(session), quiet=session.quiet, stop_after=session.seconds_left
        )

    def left_to_prepare(self, session: Session) -> dict[str, str]:
        config, folder = self.config(session), self.folder(session)
        numbers = range(1, config.num_generations + 1)
        left = sum(not is_finished(generation_dir(folder, number)) for number in numbers)
        if not left:
            return {}
        agents = config.population * config.num_lineages
        steps = left * agents * config.run.total_updates * config.run.steps_per_update
        text = f"{left} of {len(numbers)} generations of {agents} agents, {steps / 1e6:,.1f}M steps to do"
        return {self.name: text}

    def evaluated_agents(self, session: Session) -> list[EvaluatedAgent]:
        config = self.config(session)
        generation = min(self.generation or config.num_generations, config.num_generations)
        return [
            EvaluatedAgent.of(FrozenPolicyConfig(checkpoint=str(population.best_agent)), seed=population.lineage)
            for population in populations(config, generation, self.folder(session))
        ]

    def training_seconds(self, session: Session) -> float:
        """Of the whole chain."""
        generations = range(1, self.config(session).num_generations + 1)
        return sum(read_status(generation_dir(self.folder(session), number))["seconds"] for number in generations)
