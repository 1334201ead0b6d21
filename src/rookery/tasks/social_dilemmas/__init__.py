"""Social dilemmas: gather apples from what belongs to nobody, and zap whoever is in the way.

A second kind of world beside the shared grid: agents move in any direction without turning, all at once; they
block each other; beams reach several cells; apples, and waste, grow. Source: Jaques et al. 2019, appendix, and the
environments its authors cite as the definition (Vinitsky et al., sequential social dilemma games).
"""
