"""Social dilemmas: agents harvest apples from a common resource, and can zap each other.

They have an environment of their own: agents move in any direction without turning, all at the same time; they block
each other; beams reach several cells; apples and waste grow. Source: Jaques et al. 2019, appendix, and the environments
that the paper cites as their definition (Vinitsky et al., sequential social dilemma games).
"""
