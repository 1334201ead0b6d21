"""The identities of Jaques et al. 2019, appendix 10.1, on games so small that everything can be enumerated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.learning.intrinsic import CentralizedInfluence
from rookery.learning.intrinsic.influence import batched_influence, influence

CHOICES, ANSWERS = 3, 4


def numbers(seed: int):
    """p(choice), p(answer | choice), as probabilities."""
    random = np.random.default_rng(seed)
    return random.dirichlet(np.ones(CHOICES)), random.dirichlet(np.ones(ANSWERS), CHOICES)


def mutual_information(own, conditional) -> float:
    joint = own[:, None] * conditional
    return float((joint * np.log(joint / (own[:, None] * joint.sum(0)))).sum())


@jax.jit
def every(own, conditional, shift):
    """Influence of each choice and answer by each form, f32[form, choice, answer]. Logits may be shifted."""
    logits = jnp.log(conditional)[:, None] + shift

    def one(choice, answer):
        forms = [influence(logits, jnp.log(own) - shift, choice, answer[None], form) for form in ("kl", "jsd", "pmi")]
        return jnp.stack(forms)[:, 0]

    table = jax.vmap(jax.vmap(one, (None, 0)), (0, None))(jnp.arange(CHOICES), jnp.arange(ANSWERS))
    return jnp.moveaxis(table, -1, 0)


@pytest.mark.parametrize("seed", range(5))
def test_the_mean_is_the_mutual_information(seed):
    own, conditional = numbers(seed)
    kl, jsd, pmi = np.asarray(every(own, conditional, 1.7), np.float64)
    joint = own[:, None] * conditional
    wanted = mutual_information(own, conditional)
    assert wanted > 0.01
    assert abs((joint * kl).sum() - wanted) < 1e-6
    assert abs((joint * pmi).sum() - wanted) < 1e-6
    assert (jsd >= 0).all()
    assert (jsd <= np.log(2) + 1e-6).all()
    marginal = joint.sum(0)
    middle = (conditional + marginal) / 2
    by_hand = 0.5 * (conditional * np.log(conditional / middle)).sum(1) + 0.5 * (
        marginal * np.log(marginal / middle)
    ).sum(1)
    np.testing.assert_allclose(jsd[:, 0], by_hand, atol=1e-6)


def test_who_does_not_listen_is_not_influenced():
    own, _ = numbers(7)
    deaf = np.broadcast_to(np.random.default_rng(1).dirichlet(np.ones(ANSWERS)), (CHOICES, ANSWERS))
    np.testing.assert_allclose(every(own, deaf, 0.0), 0, atol=1e-6)


def test_who_copies_one_of_n_equal_choices_gets_ln_n():
    """JSD of (1, 0, 0) and (1/3, 1/3, 1/3): half of ln(3/2) + half of [ln(1/2)/3 + 2/3 ln 2] = half ln 3."""
    copies = jnp.where(jnp.eye(CHOICES, dtype=bool), 0.0, -80.0)[:, None]
    answer = jnp.zeros(1, jnp.int32)
    forms = {f: influence(copies, jnp.zeros(CHOICES), jnp.int32(0), answer, f)[0] for f in ("kl", "jsd", "pmi")}
    np.testing.assert_allclose([forms["kl"], forms["pmi"]], np.log(3), rtol=1e-6)
    np.testing.assert_allclose(forms["jsd"], 0.5 * np.log(1.5) + 0.5 * np.log(2) / 3, rtol=1e-6)


def test_many_steps_are_each_their_own_and_carry_no_gradient():
    keys = jax.random.split(jax.random.PRNGKey(0), 5)
    conditional = jax.random.normal(keys[0], (CHOICES, 6, 2, ANSWERS))
    own = jax.random.normal(keys[1], (6, CHOICES))
    choice = jax.random.randint(keys[2], (6,), 0, CHOICES)
    answer = jax.random.randint(keys[3], (6, 2), 0, ANSWERS)
    outputs = batched_influence(conditional, own, choice, answer, "pmi")
    step = influence(conditional[:, 4], own[4], choice[4], answer[4], "pmi")
    np.testing.assert_allclose(outputs[4], step, rtol=1e-6)
    grads = jax.grad(lambda c, o: batched_influence(c, o, choice, answer, "kl").sum(), (0, 1))(conditional, own)
    assert not any(np.any(s) for s in grads)


def test_an_unknown_form_is_refused():
    with pytest.raises(ConfigError, match="divergence='tv' is not known; allowed: 'kl', 'jsd', 'pmi'"):
        CentralizedInfluence(divergence="tv")
