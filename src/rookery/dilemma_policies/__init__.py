"""Scripted cooperators and defectors of the dilemmas; unlike the experts of `agents`, they know the rules of a task."""
