"""Rookery's tasks in the forms other tools expect. Importing this registers them where those tools look.

`gymnasium.make("rookery/goal-cycle-v0")`, `gymnasium.make_vec(...)` and
`pettingzoo.env_registry.registration.make("parallel", "rookery/goal-cycle-v0")` work after `import rookery.interop`.
Needs the extra `interop`; only `rookery.interop.jaxmarl` does without.
"""

from __future__ import annotations

from importlib.util import find_spec

from rookery.tasks import registry

NAMESPACE = "rookery"


def register_envs() -> None:
    """Tell Gymnasium and PettingZoo, whichever are installed, of every task they do not know yet.

    Done once at import; call it again after `rookery.tasks.registry.register`.
    """
    if find_spec("gymnasium"):
        import gymnasium

        module = f"{__name__}.gymnasium"
        for name in registry.task_ids():
            if f"{NAMESPACE}/{name}" not in gymnasium.registry:
                # Our own checks stand in for Gymnasium's wrappers: their errors say more, and they cost less.
                gymnasium.register(
                    f"{NAMESPACE}/{name}",
                    entry_point=f"{module}:SingleAgentEnv",
                    vector_entry_point=f"{module}:SingleAgentVectorEnv",
                    kwargs={"task": name},
                    order_enforce=False,
                    disable_env_checker=True,
                )
    if find_spec("pettingzoo"):
        from pettingzoo.env_registry import registration

        module = f"{__name__}.pettingzoo"
        for name in registry.task_ids():
            known_as, how = f"{NAMESPACE}/{name}", {"task": name}
            if known_as not in registration.parallel_registry:
                registration.register("parallel", known_as, entry_point=f"{module}:parallel_env", kwargs=how)
            if known_as not in registration.aec_registry:
                registration.register("aec", known_as, entry_point=f"{module}:env", kwargs=how)


register_envs()
