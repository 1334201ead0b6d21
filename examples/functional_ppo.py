"""PPO in plain JAX on the functional interface: reset, step, vmap, scan; one compiled program.

An agent alone in a 7×7 room is paid 1 for each time it enters the goal; episodes have 50 steps. To leave the goal and
come back takes four, so about 12 is all there is. With seed 0 the mean return of an episode goes from 0.5 at random to
6.6 after 5 updates of 12,800 steps, 10.7 after 10 and 11.5 after 20: ten seconds of two cores, half of them compiling.
"""

import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from rookery.gridworld.spec import ViewConfig
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.registry import make_env

TASK = GoalCycle(
    height=7,
    width=7,
    num_goals=1,
    num_obstacles=0,
    num_actions=3,
    max_steps=50,
    views=(ViewConfig(observation_type="symbolic"),),
)
WORLDS, EPOCHS, MINIBATCHES, DISCOUNT, DECAY, CLIP = 256, 4, 8, 0.97, 0.95, 0.2


class ActorCritic(nn.Module):
    actions: int

    @nn.compact
    def __call__(self, seen):
        x = seen.reshape(*seen.shape[:-3], -1) / 255.0
        for width in (64, 64):
            x = nn.tanh(nn.Dense(width)(x))
        return nn.Dense(self.actions)(x), nn.Dense(1)(x)[..., 0]


def make_train(updates):
    env = make_env(TASK)
    task_params, network = env.default_params(), ActorCritic(env.num_actions)
    optimizer = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(1e-3))
    reset, step = jax.vmap(env.reset, (0, None)), jax.vmap(env.step, (0, 0, None))

    def act(params, carry, key):
        state, seen = carry
        logits, value = network.apply(params, seen)
        action = jax.random.categorical(key, logits)
        log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], -1)[:, 0]
        state, told = step(state, action[:, None], task_params)
        return (state, told.observation[:, 0]), (seen, action, log_prob, value, told.reward[:, 0])

    def loss(params, batch):
        seen, action, old, advantage, target = batch
        logits, value = network.apply(params, seen)
        log_probs = jax.nn.log_softmax(logits)
        ratio = jnp.exp(jnp.take_along_axis(log_probs, action[:, None], -1)[:, 0] - old)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        gain = jnp.minimum(ratio * advantage, ratio.clip(1 - CLIP, 1 + CLIP) * advantage).mean()
        entropy = -(jnp.exp(log_probs) * log_probs).sum(-1).mean()
        return 0.5 * jnp.square(value - target).mean() - gain - 0.01 * entropy

    def learn(carry, batch):
        params, memory = carry
        change, memory = optimizer.update(jax.grad(loss)(params, batch), memory)
        return (optax.apply_updates(params, change), memory), None

    def update(carry, key):
        (params, memory), (reset_key, act_key, mix_key) = carry, jax.random.split(key, 3)
        state, told = reset(jax.random.split(reset_key, WORLDS), task_params)
        start = (state, told.observation[:, 0])
        (_, last), path = jax.lax.scan(lambda c, k: act(params, c, k), start, jax.random.split(act_key, env.max_steps))
        seen, action, log_prob, value, reward = path
        following = jnp.concatenate([value[1:], network.apply(params, last)[1][None]])  # the time limit is no end
        delta = reward + DISCOUNT * following - value
        advantage = jax.lax.scan(lambda a, d: (d + DISCOUNT * DECAY * a,) * 2, 0 * delta[0], delta, reverse=True)[1]
        flat = jax.tree.map(
            lambda x: x.reshape(-1, *x.shape[2:]), (seen, action, log_prob, advantage, advantage + value)
        )
        order = jnp.concatenate([jax.random.permutation(k, len(flat[1])) for k in jax.random.split(mix_key, EPOCHS)])
        batches = jax.tree.map(lambda x: x[order].reshape(EPOCHS * MINIBATCHES, -1, *x.shape[1:]), flat)
        return jax.lax.scan(learn, (params, memory), batches)[0], reward.sum(0).mean()

    def train(key):
        init_key, key = jax.random.split(key)
        params = network.init(init_key, jnp.zeros(env.observation_shape(0)))
        return jax.lax.scan(update, (params, optimizer.init(params)), jax.random.split(key, updates))

    return jax.jit(train)


if __name__ == "__main__":
    _, returns = make_train(int(sys.argv[1]) if len(sys.argv) > 1 else 30)(jax.random.PRNGKey(0))
    for number in (*range(0, len(returns), 5), len(returns) - 1):
        print(f"update {number:3}: return {returns[number]:6.2f} an episode")
