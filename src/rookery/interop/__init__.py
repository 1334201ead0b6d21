"""Rookery's tasks in the interfaces of other libraries. Importing this registers them there.

`gymnasium.make("rookery/goal-cycle-v0")`, `gymnasium.make_vec(...)` and
`pettingzoo.env_registry.registration.make("parallel", "rookery/goal-cycle-v0")` work after `import rookery.interop`.
Needs the extra `interop`, except for `rookery.interop.jaxmarl`.
"""

from __future__ import annotations

from importlib.util import find_spec

from rookery.tasks import registry

NAMESPACE = "rookery"


def register_envs() -> None:
    """Register every task with Gymnasium and PettingZoo, as far as they are installed.

    Called at import; call it again after `rookery.tasks.registry.register`.
    """
    if find_spec("gymnasium"):
        import gymnasium

        module = f"{__name__}.gymnasium"
        for name in registry.task_ids():
            if f"{NAMESPACE}/{name}" not in gymnasium.registry:
                # Our own checks replace Gymnasium's wrappers: their errors say more, and they cost less.
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
            env_id, kwargs = f"{NAMESPACE}/{name}", {"task": name}
            if env_id not in registration.parallel_registry:
                registration.register("parallel", env_id, entry_point=f"{module}:parallel_env", kwargs=kwargs)
            if env_id not in registration.aec_registry:
                registration.register("aec", env_id, entry_point=f"{module}:env", kwargs=kwargs)


register_envs()
