"""Play along: a person moves one agent of a world in real time, in a browser or a terminal, beside the others."""
