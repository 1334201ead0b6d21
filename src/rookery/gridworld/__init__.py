"""The gridworld: tiles, layout, movement, visibility and observation. It does not depend on any task."""
