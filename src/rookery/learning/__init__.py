"""How an agent changes: rollout, advantages, PPO, auxiliary losses."""
