"""People play: a person moves one agent in real time, in a browser or a terminal, while policies move the others."""
