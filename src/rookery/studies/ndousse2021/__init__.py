"""Ndousse, Eck, Levine and Jaques 2021, *Emergent Social Learning via Multi-agent Reinforcement Learning*."""
