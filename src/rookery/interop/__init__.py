"""Rookery's tasks in the interfaces of other libraries. Importing this registers them there.

`gymnasium.make("rookery/goal-cycle-v0")`, `gymnasium.make_vec(...)` and
`pettingzoo.env_registry.registration.make("parallel", "rookery/goal-cycle-v0")` work after `import rookery.interop`.
Needs the extra `interop`, except for `rookery.interop.jaxmarl`.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from rookery.errors import typed_text
from rookery.tasks import registry

NAMESPACE = "rookery"


def register_envs() -> None:
    """Register every task with Gymnasium and PettingZoo, as far as they are installed.

    Called at import; call it again after `rookery.tasks.registry.register`. A task that one of them refuses is named in
    a warning and left out of it; the others are not affected.
    """
    if find_spec("gymnasium"):
        import gymnasium

        module = f"{__name__}.gymnasium"
        for name in registry.task_ids():
            if f"{NAMESPACE}/{name}" not in gymnasium.registry:
                # Our own checks replace Gymnasium's wrappers: their errors say more, and they cost less.
                _register_task(
                    gymnasium.register,
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
        register_parallel = functools.partial(registration.register, "parallel")
        register_aec = functools.partial(registration.register, "aec")
        for name in registry.task_ids():
            env_id, kwargs = f"{NAMESPACE}/{name}", {"task": name}
            if env_id not in registration.parallel_registry:
                _register_task(register_parallel, env_id, entry_point=f"{module}:parallel_env", kwargs=kwargs)
            if env_id not in registration.aec_registry:
                _register_task(register_aec, env_id, entry_point=f"{module}:env", kwargs=kwargs)


def _register_task(register: Callable[..., Any], env_id: str, **options: Any) -> None:
    try:
        register(env_id, **options)
    except Exception as error:  # whatever the other library refuses, such as an id written past our registry's checks
        library = options["entry_point"].partition(":")[0].rpartition(".")[2]
        warnings.warn(f"{env_id} is left out of {library}: {typed_text(error)}", stacklevel=3)


register_envs()
