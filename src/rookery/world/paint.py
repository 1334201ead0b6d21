"""An agent's view as numbers: `pixels` for convolutions, `symbolic` for small networks. Same information."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, UInt8

from rookery.world.prestige import blue_share
from rookery.world.sight import look, to_view
from rookery.world.spec import View, WorldSpec
from rookery.world.state import State
from rookery.world.tiles import COLOR, FLOOR, GOAL, KINDS, OBSTACLE, UNSEEN_COLOR


def triangle(side: int) -> np.ndarray:
    """Coverage of a tile by an agent's triangle, by heading relative to the viewer. f32[4, side, side].

    Ahead is up. Coverage is counted on an 8×8 grid of points in each pixel.
    """
    points = (np.arange(side * 8) + 0.5) / (side * 8)
    down, right = np.meshgrid(points, points, indexing="ij")
    inside = (np.abs(right - 0.5) <= (down - 0.1) * 0.45) & (down >= 0.1) & (down <= 0.92)
    up = inside.reshape(side, 8, side, 8).mean((1, 3)).astype(np.float32)
    return np.stack([np.rot90(up, -turns) for turns in range(4)])


def visible_agents(state: State, agent: int, view: View, seen: Bool[Array, "V V"]) -> Bool[Array, "A V V"]:
    """Where in one agent's view each active agent stands and is seen; an absent viewer sees none."""
    row, col = to_view(state.position, state.position[agent], state.heading[agent], view)
    cells = jnp.arange(view.size)
    at = (row[:, None, None] == cells[:, None]) & (col[:, None, None] == cells)
    return at & state.active[:, None, None] & seen


def perceive(state: State, agent: int, view: View):
    """Kinds i32[V, V] (goals already hidden), seen bool[V, V], agents bool[A, V, V] of one agent's view."""
    kind, seen = look(state.tiles, state.position[agent], state.heading[agent], view)
    seen &= state.active[agent]
    if view.hide_goals:
        kind = jnp.where(state.goals_hidden & (kind == GOAL), FLOOR, kind)
    return kind, seen, visible_agents(state, agent, view, seen)


def observe(state: State, agent: int, spec: WorldSpec) -> UInt8[Array, "..."]:
    """What one agent sees, u8[View.shape]. Before it enters the world, all is unseen."""
    view = spec.views[agent]
    kind, seen, agents = perceive(state, agent, view)
    blue = jnp.round(255 * blue_share(state.prestige, spec.prestige_rule)).astype(jnp.uint8)
    relative = (state.heading - state.heading[agent]) % 4
    # Where several agents share a cell the viewer is drawn on top, then the lowest number.
    order = [agent, *(other for other in range(spec.agents) if other != agent)]
    encode = symbols if view.kind == "symbolic" else pixels
    return encode(kind, seen, [agents[i] for i in order], [relative[i] for i in order], [blue[i] for i in order], view)


def symbols(kind, seen, agents, relative, blue, view: View) -> UInt8[Array, "V V C"]:
    """One channel of 0 or 255 for each of CHANNELS; the last is the shown agent's blue share."""
    on, off = jnp.uint8(255), jnp.uint8(0)
    facing = jnp.full(kind.shape, -1, jnp.int32)
    prestige = jnp.zeros(kind.shape, jnp.uint8)
    for where, heading, color in zip(reversed(agents), reversed(relative), reversed(blue), strict=True):
        facing = jnp.where(where, heading, facing)
        prestige = jnp.where(where, color, prestige)
    channels = [~seen, seen & (kind == OBSTACLE), seen & (kind == GOAL)]
    channels += [facing == heading for heading in range(4)]
    return jnp.stack([*(jnp.where(channel, on, off) for channel in channels), prestige], -1)


def pixels(kind, seen, agents, relative, blue, view: View) -> UInt8[Array, "P P 3"]:
    """A picture of `tile_pixels` a cell: tiles in their colours, agents as triangles from red to blue."""
    side, size = view.tile_pixels, view.size
    sprite = jnp.asarray(np.round(triangle(side) * 255).astype(np.int32))
    facing = jnp.full(kind.shape, -1, jnp.int32)
    shade = jnp.zeros(kind.shape, jnp.int32)
    for where, heading, color in zip(reversed(agents), reversed(relative), reversed(blue), strict=True):
        facing = jnp.where(where, heading, facing)
        shade = jnp.where(where, color.astype(jnp.int32), shade)

    def spread(cells):  # i32[V, V] -> [V, side, V, side]
        return jnp.broadcast_to(cells[:, None, :, None], (size, side, size, side))

    cover = jnp.zeros((size, side, size, side), jnp.int32)
    for heading in range(4):
        cover = jnp.where(spread(facing) == heading, sprite[heading][None, :, None, :], cover)
    planes = []
    for channel, agent_color in enumerate((255 - shade, jnp.zeros_like(shade), shade)):
        ground = jnp.full(kind.shape, int(UNSEEN_COLOR[channel]), jnp.int32)
        for number in range(KINDS):
            ground = jnp.where(seen & (kind == number), int(COLOR[number, channel]), ground)
        back, front = spread(ground), spread(agent_color)
        planes.append((back * 255 + (front - back) * cover + 127) // 255)
    picture = jnp.stack(planes, -1).astype(jnp.uint8)
    return picture.reshape(size * side, size * side, 3)
