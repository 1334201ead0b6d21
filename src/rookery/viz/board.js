// Draws one state of an environment on a canvas: tiles, agents, and what is visible. Shared by the replay and the game.
(function () {
  "use strict";
  if (window.RookeryBoard) return; // a page with several replays has this script more than once

  const FOG = 0.2, OBSTACLE = 1;
  const HEADINGS = ["north", "east", "south", "west"];
  const ROLES = { learning: "learning", frozen: "trained", scripted: "scripted", random: "random", person: "person" };
  const rgb = (c) => "rgb(" + c.join(",") + ")";

  function luminance(c) { // WCAG 2
    const [r, g, b] = c.map((v) => (v <= 10 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  const turn = ([u, v], heading) => [[u, v], [1 - v, u], [1 - u, 1 - v], [v, 1 - u]][heading];
  const where = (row, col) => `at row ${row + 1}, column ${col + 1}`;
  const mix = (low, high, fraction) => low.map((v, i) => Math.round(v + (high[i] - v) * fraction));

  class Board {
    // sprites: kinds, agent_shapes and colors, as `sprite_data` in sprites.py gives them.
    constructor(canvas, sprites, height, width) {
      Object.assign(this, { canvas, sprites, height, width, tile: 0, tileImages: new Map() });
    }

    // Fit `maxWidth` CSS pixels across and `maxHeight` down, no tile above `maxTile`; whole device pixels, so cells are alike.
    resize(maxWidth, maxHeight, maxTile) {
      const ratio = window.devicePixelRatio || 1;
      const tile = Math.max(1, Math.floor(Math.min(maxWidth / this.width, maxHeight / this.height, maxTile) * ratio));
      if (tile !== this.tile) {
        this.tile = tile;
        this.canvas.width = tile * this.width;
        this.canvas.height = tile * this.height;
        this.tileImages.clear();
      }
      this.canvas.style.width = this.canvas.width / ratio + "px";
      this.canvas.style.height = this.canvas.height / ratio + "px";
    }

    // tiles[H*W]; goals [[row, col]…] in the order of their numbers, none where they are not numbered;
    // agents [{letter, name, role, row, col, heading, prestige, carrying, ring}…];
    // brightness: null, or how bright a cell is, 0 … 1; agents and numbers in cells below FOG are hidden.
    // arrows [{from, to: letters, fraction, negative}…], smallest first. Returns a description in words.
    paint(tiles, goals, agents, brightness, arrows = []) {
      const { tile, sprites, width } = this;
      if (!tile) return "";
      const pen = this.canvas.getContext("2d");
      tiles.forEach((kind, i) => {
        pen.drawImage(this.tileImage(kind), (i % width) * tile, Math.floor(i / width) * tile);
      });
      const visible = (row, col) => !brightness || brightness(row * width + col) >= FOG;
      const numbers = goals.map(([row, col], k) => ({ text: String(k + 1), row, col, kind: tiles[row * width + col] }));
      const visibleNumbers = numbers.filter(({ row, col, kind }) => kind > OBSTACLE && visible(row, col));
      for (const { text, row, col, kind } of visibleNumbers) {
        this.write(pen, text, col * tile, row * tile, tile, [0.5, 0.5], this.kind(kind).label_background);
      }
      const visibleAgents = agents.filter(({ row, col }) => visible(row, col));
      const cells = new Map();
      for (const agent of visibleAgents) {
        const key = agent.row * width + agent.col;
        cells.set(key, [...(cells.get(key) || []), agent]);
      }
      const centers = new Map();
      for (const [key, agentsHere] of cells) {
        const side = Math.ceil(Math.sqrt(agentsHere.length)), size = tile / side;
        agentsHere.forEach((agent, k) => {
          const x = (key % width) * tile + (k % side) * size, y = Math.floor(key / width) * tile + Math.floor(k / side) * size;
          centers.set(agent.letter, [x + size / 2, y + size / 2]);
          this.agent(pen, agent, x, y, size);
        });
      }
      if (brightness) {
        tiles.forEach((_, i) => {
          const dark = 1 - brightness(i);
          if (dark <= 0) return;
          pen.fillStyle = `rgba(${sprites.colors.unseen_overlay.join(",")},${dark})`;
          pen.fillRect((i % width) * tile, Math.floor(i / width) * tile, tile, tile);
        });
      }
      for (const { from, to, fraction, negative } of arrows) {
        if (centers.has(from) && centers.has(to)) this.arrow(pen, centers.get(from), centers.get(to), fraction, negative);
      }
      return [
        ...visibleAgents.map((agent) => this.agentInWords(agent)),
        ...visibleNumbers.map(({ text, row, col }) => `goal ${text} ${where(row, col)}`),
        ...this.tilesInWords(tiles, visible, visibleNumbers),
      ].join("; ");
    }

    agentInWords({ letter, name, row, col, heading, carrying }) {
      const load = carrying ? `, carrying ${this.kind(carrying).name}` : "";
      return `${letter} ${name} ${where(row, col)}, facing ${HEADINGS[heading]}${load}`;
    }

    // What is neither floor nor obstacle nor numbered: where the only tile of a kind is, or how many there are.
    tilesInWords(tiles, visible, visibleNumbers) {
      const { width } = this, found = new Map(), numbered = new Set(visibleNumbers.map(({ row, col }) => row * width + col));
      tiles.forEach((kind, i) => {
        const row = Math.floor(i / width), col = i % width;
        if (kind <= OBSTACLE || numbered.has(i) || !visible(row, col)) return;
        found.set(kind, { row, col, count: found.has(kind) ? found.get(kind).count + 1 : 1 });
      });
      return [...found].sort(([a], [b]) => a - b).map(([kind, { row, col, count }]) =>
        `${this.kind(kind).name} ${count === 1 ? where(row, col) : `on ${count} cells`}`);
    }

    kind(kind) {
      const { kinds } = this.sprites;
      return kinds[kind] || { name: `tile kind ${kind}`, background: kinds[1].background, shapes: [], label_background: kinds[1].background };
    }

    tileImage(kind) { // each kind of tile is drawn once per size, then copied
      if (this.tileImages.has(kind)) return this.tileImages.get(kind);
      const { tile } = this, canvas = document.createElement("canvas"), { background, shapes } = this.kind(kind);
      canvas.width = canvas.height = tile;
      const pen = canvas.getContext("2d");
      pen.fillStyle = rgb(background);
      pen.fillRect(0, 0, tile, tile);
      if (tile >= 6) {
        pen.fillStyle = rgb(this.sprites.colors.grid);
        pen.fillRect(0, 0, tile, 1);
        pen.fillRect(0, 0, 1, tile);
      }
      for (const [color, points] of shapes) {
        pen.beginPath();
        for (let i = 0; i < points.length; i += 2) pen.lineTo(points[i] * tile, points[i + 1] * tile);
        pen.fillStyle = rgb(color);
        pen.fill();
      }
      this.tileImages.set(kind, canvas);
      return canvas;
    }

    agent(pen, agent, x, y, size) {
      const { prestige_low: low, prestige_high: high, outline } = this.sprites.colors;
      const color = mix(low, high, agent.prestige);
      const [labelAt, ...body] = this.sprites.agent_shapes[agent.role] || this.sprites.agent_shapes.frozen;
      pen.lineWidth = Math.max(1, size / 14);
      pen.lineJoin = "round";
      pen.strokeStyle = rgb(outline);
      pen.fillStyle = rgb(color);
      pen.beginPath();
      for (const corner of body) { const [u, v] = turn(corner, agent.heading); pen.lineTo(x + u * size, y + v * size); }
      pen.closePath();
      pen.fill();
      pen.stroke();
      if (agent.ring || agent.role === "person") {
        pen.beginPath();
        pen.arc(x + size / 2, y + size / 2, size * 0.48 - pen.lineWidth / 2, 0, 2 * Math.PI);
        pen.lineWidth = Math.max(1, size / (agent.ring ? 11 : 18));
        if (agent.ring) pen.strokeStyle = agent.ring;
        pen.stroke();
      }
      this.write(pen, agent.letter, x, y, size, turn(labelAt, agent.heading), color);
      if (agent.carrying) { // in a corner, as a small tile
        const side = Math.round(size * 0.4);
        pen.drawImage(this.tileImage(agent.carrying), x + size - side, y + size - side, side, side);
      }
    }

    arrow(pen, start, end, fraction, negative) { // the same geometry as in arrows.py
      const { max_width, side_offset, end_margin, max_head_width } = this.arrowShape, { tile } = this;
      const across = end[0] - start[0], down = end[1] - start[1], distance = Math.hypot(across, down);
      if (!distance) return;
      const ahead = [across / distance, down / distance], right = [-ahead[1], ahead[0]];
      const trim = Math.min(end_margin * tile, distance / 4), length = distance - 2 * trim;
      const half = Math.max(0.5, (fraction * max_width * tile) / 2);
      const head = Math.min(length, Math.max(0.14, Math.sqrt(fraction) * max_head_width) * tile);
      const wide = Math.max(2 * half, head / 2), neck = length - head;
      pen.beginPath();
      for (const [along, off] of [[0, -half], [neck, -half], [neck, -wide], [length, 0], [neck, wide], [neck, half], [0, half]]) {
        const a = trim + along, b = side_offset * tile + off;
        pen.lineTo(start[0] + a * ahead[0] + b * right[0], start[1] + a * ahead[1] + b * right[1]);
      }
      pen.globalAlpha = Math.sqrt(fraction);
      pen.fillStyle = rgb(this.sprites.colors[negative ? "negative_influence" : "influence"]);
      pen.fill();
      pen.globalAlpha = 1;
    }

    write(pen, text, x, y, size, [u, v], background) {
      if (size < 14) return;
      const { ink, outline } = this.sprites.colors;
      pen.font = `600 ${Math.round(size * (text.length === 1 ? 0.42 : 0.32))}px system-ui, sans-serif`;
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillStyle = rgb(luminance(background) > 0.18 ? ink : outline);
      pen.fillText(text, x + u * size, y + v * size);
    }
  }

  // Draw an agent's view, h×w RGB bytes, on a canvas of that size.
  function paintView(canvas, pixels) {
    const image = new ImageData(canvas.width, canvas.height);
    for (let p = 0, q = 0; p < pixels.length; p += 3, q += 4) {
      image.data[q] = pixels[p]; image.data[q + 1] = pixels[p + 1]; image.data[q + 2] = pixels[p + 2];
      image.data[q + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  function element(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key === "class") node.className = value;
      else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (value !== false) node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children);
    return node;
  }

  // The entries of a legend: tiles, agents by prestige, shapes by role, visibility.
  function legend(sprites, kinds, roles, hasVisibility) {
    const { colors } = sprites;
    const small = (draw) => {
      const canvas = element("canvas", { width: 40, height: 40, class: "rk-swatch", "aria-hidden": true });
      const board = new Board(canvas, sprites, 1, 1);
      board.tile = 40;
      draw(board, canvas.getContext("2d"));
      return canvas;
    };
    const wide = (background) => {
      const node = element("span", { class: "rk-swatch rk-wide", "aria-hidden": true });
      node.style.background = background;
      return node;
    };
    const names = new Board(null, sprites, 1, 1);
    const items = kinds.map((kind) => element("li", {}, small((b, pen) => pen.drawImage(b.tileImage(kind), 0, 0)), names.kind(kind).name));
    for (const role of roles) {
      const agent = { letter: "", role, heading: 0, prestige: 0.8 };
      items.push(element("li", {}, small((b, pen) => { pen.fillStyle = rgb(sprites.kinds[0].background); pen.fillRect(0, 0, 40, 40); b.agent(pen, agent, 0, 0, 40); }), ROLES[role]));
    }
    items.push(element("li", {}, wide(`linear-gradient(90deg, ${rgb(colors.prestige_low)}, ${rgb(colors.prestige_high)})`), "prestige 0 to 1"));
    if (hasVisibility) {
      const visible = colors.outline, dim = visible.map((v) => Math.round(v * colors.unseen_brightness));
      items.push(element("li", {}, wide(`linear-gradient(90deg, ${rgb(visible)} 50%, ${rgb(dim)} 50%)`), "visible, not visible"));
    }
    return items;
  }

  window.RookeryBoard = { Board, ROLES, paintView, legend, element, rgb };
})();
