"""PPO in plain JAX on the functional interface: reset, step, vmap, scan; one compiled program.

One agent in a 7×7 room gets a reward of 1 each time it enters the goal; episodes have 50 steps. Leaving the goal and
coming back takes four steps, so the best return is about 12. With seed 0 the mean return goes from 0.5 at random to 6.6
after 5 updates of 12,800 steps, 10.7 after 10 and 11.5 after 20: ten seconds on two cores, half of them for compiling.
"""

import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

import rookery
from rookery.gridworld.spec import ViewConfig

ENV = rookery.make(
    "goal-cycle-v0",
    height=7,
    width=7,
    num_goals=1,
    num_obstacles=0,
    num_actions=3,
    max_steps=50,
    views=(ViewConfig(observation_type="symbolic"),),
)
NUM_ENVS, NUM_EPOCHS, NUM_MINIBATCHES = 256, 4, 8
GAMMA, GAE_LAMBDA, CLIP_EPS, VF_COEF, ENT_COEF = 0.97, 0.95, 0.2, 0.5, 0.01


class ActorCritic(nn.Module):
    num_actions: int

    @nn.compact
    def __call__(self, obs):
        x = obs.reshape(*obs.shape[:-3], -1) / 255.0
        for size in (64, 64):
            x = nn.tanh(nn.Dense(size)(x))
        return nn.Dense(self.num_actions)(x), nn.Dense(1)(x)[..., 0]


def make_train(num_updates):
    env_params, network = ENV.default_params(), ActorCritic(ENV.num_actions)
    optimizer = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(1e-3))
    reset, step = jax.vmap(ENV.reset, (0, None)), jax.vmap(ENV.step, (0, 0, None))

    def act(params, carry, key):
        state, obs = carry
        logits, value = network.apply(params, obs)
        action = jax.random.categorical(key, logits)
        log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], -1)[:, 0]
        state, timestep = step(state, action[:, None], env_params)
        return (state, timestep.observation[:, 0]), (obs, action, log_prob, value, timestep.reward[:, 0])

    def loss(params, batch):
        obs, action, old_log_prob, advantage, target = batch
        logits, value = network.apply(params, obs)
        log_probs = jax.nn.log_softmax(logits)
        ratio = jnp.exp(jnp.take_along_axis(log_probs, action[:, None], -1)[:, 0] - old_log_prob)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        surrogate = jnp.minimum(ratio * advantage, ratio.clip(1 - CLIP_EPS, 1 + CLIP_EPS) * advantage).mean()
        entropy = -(jnp.exp(log_probs) * log_probs).sum(-1).mean()
        return VF_COEF * jnp.square(value - target).mean() - surrogate - ENT_COEF * entropy

    def learn(carry, batch):
        params, opt_state = carry
        updates, opt_state = optimizer.update(jax.grad(loss)(params, batch), opt_state)
        return (optax.apply_updates(params, updates), opt_state), None

    def update(carry, key):
        (params, opt_state), (reset_key, act_key, shuffle_key) = carry, jax.random.split(key, 3)
        state, timestep = reset(jax.random.split(reset_key, NUM_ENVS), env_params)
        start, act_keys = (state, timestep.observation[:, 0]), jax.random.split(act_key, ENV.max_steps)
        (_, last_obs), trajectory = jax.lax.scan(lambda c, k: act(params, c, k), start, act_keys)
        obs, action, log_prob, value, reward = trajectory
        # An episode here ends only by its time limit, so the value after its last step counts.
        next_value = jnp.concatenate([value[1:], network.apply(params, last_obs)[1][None]])
        delta = reward + GAMMA * next_value - value
        accumulate = lambda a, d: (d + GAMMA * GAE_LAMBDA * a,) * 2  # noqa: E731
        advantage = jax.lax.scan(accumulate, 0 * delta[0], delta, reverse=True)[1]
        data = (obs, action, log_prob, advantage, advantage + value)
        data = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), data)
        shuffle_keys = jax.random.split(shuffle_key, NUM_EPOCHS)
        order = jnp.concatenate([jax.random.permutation(k, len(data[1])) for k in shuffle_keys])
        batches = jax.tree.map(lambda x: x[order].reshape(NUM_EPOCHS * NUM_MINIBATCHES, -1, *x.shape[1:]), data)
        return jax.lax.scan(learn, (params, opt_state), batches)[0], reward.sum(0).mean()

    def train(key):
        init_key, key = jax.random.split(key)
        params = network.init(init_key, jnp.zeros(ENV.observation_shape(0)))
        return jax.lax.scan(update, (params, optimizer.init(params)), jax.random.split(key, num_updates))

    return jax.jit(train)


if __name__ == "__main__":
    _, returns = make_train(int(sys.argv[1]) if len(sys.argv) > 1 else 30)(jax.random.PRNGKey(0))
    for number in (*range(0, len(returns), 5), len(returns) - 1):
        print(f"update {number:3}: mean return {returns[number]:6.2f}")
