// Plays one recorded episode. Text from the data becomes textContent only, so no markup in it is ever parsed.
(function () {
  "use strict";
  if (window.RookeryReplay) return; // a page with several replays has this script more than once

  const ARRAYS = {
    uint8: Uint8Array, int8: Int8Array, bool: Uint8Array, int16: Int16Array, float32: Float32Array,
  };
  const { Board, ROLES, paintView, legend, element, rgb } = window.RookeryBoard;
  const SPEEDS = [1, 2, 4, 8, 16, 32, 64];
  const ICONS = {
    first: "M3 3h2v10H3zM13 3v10L6 8z", back: "M11 3v10L4 8z", play: "M4 2v12l10-6z",
    pause: "M4 3h3v10H4zM9 3h3v10H9z", forward: "M5 3v10l7-5z", last: "M11 3h2v10h-2zM3 3v10l7-5z",
  };
  const MAX_TILE = 44, MAX_MAP_HEIGHT = 620, VIEW = 96;
  const WHOLE_MAP = -1, ANYONE = -2; // values of `visibleTo` that are not one agent

  const short = (x) => String(Number(x.toPrecision(4)));
  const nats = (x) => `${x && Math.abs(x) < 1e-3 ? x.toExponential(1) : short(x)} nats`;
  const signed = (x) => (x > 0 ? "+" : "") + short(x);

  function icon(name) { // the only markup that is parsed, and it comes from this file
    const holder = element("span", { "aria-hidden": true });
    holder.innerHTML = `<svg viewBox="0 0 16 16" width="16" height="16"><path d="${ICONS[name]}"/></svg>`;
    return holder;
  }

  async function unpack(data) {
    const packed = Uint8Array.from(atob(data.block), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const buffer = await new Response(stream).arrayBuffer();
    const arrays = {};
    let offset = 0;
    for (const [name, type, shape] of data.arrays) {
      const count = shape.reduce((a, b) => a * b, 1);
      const end = offset + count * ARRAYS[type].BYTES_PER_ELEMENT;
      arrays[name] = { values: new ARRAYS[type](buffer.slice(offset, end)), shape };
      offset = end;
    }
    return arrays;
  }

  class Replay {
    constructor(root, data, arrays) {
      Object.assign(this, { root, data, arrays, t: 0, playing: false, arrows: true, visibleTo: data.has_visibility ? ANYONE : WHOLE_MAP, speed: 8 });
      this.count = data.agents.length;
      this.computeReturns();
      this.build();
      this.listen();
      this.show(0);
      root.dataset.ready = "true";
    }

    at(name, t, agent, i = 0) { // [T+1, A, …] or [T, A, …]
      const { values, shape } = this.arrays[name];
      const inner = shape.length > 2 ? shape[2] : 1;
      return values[(t * shape[1] + agent) * inner + i];
    }

    frame(name, t) { // the values at step t; an array that never changes has only one entry
      const { values, shape } = this.arrays[name];
      const size = shape.slice(1).reduce((a, b) => a * b, 1);
      const k = Math.min(t, shape[0] - 1);
      return values.subarray(k * size, (k + 1) * size);
    }

    computeReturns() {
      this.returns = this.data.agents.map((_, agent) => {
        const total = new Float64Array(this.data.steps + 1);
        for (let t = 0; t < this.data.steps; t++) total[t + 1] = total[t] + this.at("reward", t, agent);
        return total;
      });
    }

    // ---- parts of the page --------------------------------------------------------------------------

    build() {
      const { data, root } = this;
      this.map = element("canvas", { role: "img" });
      this.board = new Board(this.map, data.sprites, data.height, data.width);
      this.board.arrowShape = data.arrow_shape;
      this.mapBox = element("div", { class: "rk-map" }, this.map);
      this.cards = data.agents.map((agent, i) => this.card(agent, i));
      this.chart = element("canvas", { role: "img" });
      this.chartBox = element("div", { class: "rk-chart" }, element("h3", {}, "Return so far, and the reward of each step"), this.chart);
      const title = element("h2", {}, data.task);
      const head = element("header", {}, title);
      if (data.note) head.append(element("p", { class: "rk-note" }, data.note));
      root.querySelector(".rk-loading").remove();
      root.append(
        head,
        element("div", { class: "rk-stage" }, this.mapBox, this.bar(),
          element("div", { class: "rk-agents" }, ...this.cards.map((c) => c.box))),
        element("div", { class: "rk-below" }, this.chartBox, this.log()),
        this.legend(),
      );
    }

    card(agent, i) {
      const [, height, width] = this.arrays["view" + i].shape;
      const scale = VIEW / Math.max(height, width);
      const size = `width:${Math.round(width * scale)}px;height:${Math.round(height * scale)}px`;
      const view = element("canvas", { width, height, style: size, role: "img", "aria-label": `What ${agent.name} sees` });
      const role = element("div", { class: "rk-role" });
      const facts = {};
      const list = element("dl", {});
      for (const key of ["return", "reward", "action", "prestige", ...(this.data.max_influence ? ["influence", "influenced"] : [])]) {
        facts[key] = element("dd", {});
        list.append(element("dt", {}, key), facts[key]);
      }
      const name = element("div", { class: "rk-name" }, `${agent.letter}  ${agent.name}`);
      const box = element("div", { class: "rk-agent" }, view, element("div", { class: "rk-facts" }, name, role, list));
      box.style.setProperty("--rk-line", rgb(this.line(i)));
      return { box, view, role, facts };
    }

    bar() {
      const button = (name, label, act) =>
        element("button", { type: "button", "aria-label": label, title: label, onclick: act }, icon(name));
      this.playButton = button("play", "Play", () => this.play(!this.playing));
      this.stepText = element("output", { class: "rk-step" });
      this.scrub = element("input", {
        type: "range", class: "rk-scrub", min: 0, max: this.data.steps, step: 1, "aria-label": "Step",
        oninput: () => { this.play(false); this.show(Number(this.scrub.value)); },
      });
      const speed = this.speeds = element("select", { onchange: () => { this.speed = Number(speed.value); } });
      for (const s of SPEEDS) speed.append(element("option", { value: s, selected: s === this.speed }, `${s} steps/s`));
      const row = element("div", { class: "rk-row" },
        element("div", { class: "rk-buttons" },
          button("first", "To the start", () => this.go(0)),
          button("back", "One step back", () => this.go(this.t - 1)),
          this.playButton,
          button("forward", "One step forward", () => this.go(this.t + 1)),
          button("last", "To the end", () => this.go(this.data.steps))),
        this.stepText,
        element("label", {}, "Speed", speed));
      if (this.data.has_visibility) {
        this.visibleToSelect = element("select", { onchange: () => { this.visibleTo = Number(this.visibleToSelect.value); this.show(this.t); } },
          element("option", { value: ANYONE }, "what anyone sees"),
          element("option", { value: WHOLE_MAP }, "the whole map"),
          ...this.data.agents.map((a, i) => element("option", { value: i }, `what ${a.letter} ${a.name} sees`)));
        row.append(element("label", {}, "Visibility", this.visibleToSelect));
      }
      if (this.data.max_influence) {
        this.toggle = element("input", { type: "checkbox", class: "rk-arrows", checked: true, onchange: () => { this.arrows = this.toggle.checked; this.drawMap(); } });
        row.append(element("label", {}, this.toggle, "Influence"));
      }
      return element("div", { class: "rk-bar" }, row, this.scrub);
    }

    log() {
      this.entries = this.data.events.map(([step, agent, reward, text]) => {
        const { letter, name } = this.data.agents[agent];
        const jump = element("button", {
          type: "button", onclick: () => this.go(step), "aria-label": `Step ${step}, ${name}, ${text}`,
        }, element("span", {}, String(step)), element("b", {}, letter), element("span", { class: reward > 0 ? "rk-good" : "rk-bad" }, text));
        return { step, node: element("li", {}, jump) };
      });
      this.list = element("ol", { class: "rk-log", "aria-label": "Events" }, ...this.entries.map((e) => e.node));
      const body = this.entries.length ? this.list : element("p", { class: "rk-none" }, "No agent got a reward or a penalty.");
      return element("div", { class: "rk-logbox" }, element("h3", {}, "Events: step, agent, reward"), body);
    }

    legend() {
      const { sprites, agents, tile_kinds, has_visibility } = this.data;
      const items = legend(sprites, tile_kinds, [...new Set(agents.map((a) => a.role))], has_visibility);
      const key = (k) => element("kbd", {}, k);
      if (this.data.max_influence) items.push(this.scale());
      items.push(element("li", { class: "rk-keys" },
        key("space"), "play", key("←"), key("→"), "step", key("Home"), key("End"), "start, end", key("+"), key("−"), "speed", key("L"), "visibility",
        ...(this.data.max_influence ? [key("I"), "influence"] : [])));
      return element("ul", { class: "rk-legend", "aria-label": "Legend" }, ...items);
    }

    scale() { // what the width of an arrow means
      const canvas = element("canvas", { width: 128, height: 40, class: "rk-swatch rk-wide", "aria-hidden": true });
      const board = new Board(canvas, this.data.sprites, 1, 3), pen = canvas.getContext("2d");
      Object.assign(board, { tile: 40, arrowShape: { ...this.data.arrow_shape, side_offset: 0 } });
      pen.fillStyle = rgb(this.data.sprites.kinds[0].background);
      pen.fillRect(0, 0, 128, 40);
      board.arrow(pen, [0, 20], [128, 20], 1, false);
      const below = this.arrays.influence.values.some((x) => x < 0) ? "; negative influence has another color" : "";
      return element("li", { class: "rk-scale" }, canvas, `influence in this step; the widest arrow is ${nats(this.data.max_influence)}${below}`);
    }

    // ---- time ---------------------------------------------------------------------------------------------

    listen() {
      this.root.addEventListener("keydown", (event) => this.key(event));
      if ("standalone" in this.root.dataset) {
        document.addEventListener("keydown", (event) => { if (!this.root.contains(event.target)) this.key(event); });
      }
      const point = (event) => {
        if (event.type === "pointermove" && !event.buttons) return;
        const box = this.chart.getBoundingClientRect();
        this.go(Math.round(((event.clientX - box.left - this.plot.left) / this.plot.width) * this.data.steps));
      };
      this.chart.addEventListener("pointerdown", point);
      this.chart.addEventListener("pointermove", point);
      // The width of the boxes does not depend on what is drawn in them, so resizing cannot cause itself.
      const watch = new ResizeObserver(() => { this.resize(); });
      watch.observe(this.mapBox);
      watch.observe(this.chartBox);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.resize());
      this.resize();
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const tag = event.target.tagName;
      if (tag === "SELECT" || ((tag === "BUTTON" || event.target.type === "checkbox") && event.key === " ")) return; // these elements use the key themselves
      const faster = (by) => {
        const next = SPEEDS[SPEEDS.indexOf(this.speed) + by];
        if (next) { this.speed = next; this.speeds.value = next; }
      };
      const choices = [ANYONE, WHOLE_MAP, ...this.data.agents.keys()];
      const act = {
        "+": () => faster(1), "=": () => faster(1), "-": () => faster(-1),
        l: () => {
          if (!this.data.has_visibility) return;
          this.visibleTo = choices[(choices.indexOf(this.visibleTo) + 1) % choices.length];
          this.visibleToSelect.value = this.visibleTo;
          this.show(this.t);
        },
        i: () => {
          if (!this.toggle) return;
          this.toggle.checked = this.arrows = !this.arrows;
          this.drawMap();
        },
        " ": () => this.play(!this.playing),
        ArrowLeft: () => this.go(this.t - 1), ArrowRight: () => this.go(this.t + 1),
        Home: () => this.go(0), End: () => this.go(this.data.steps),
      }[event.key];
      if (!act) return;
      event.preventDefault();
      act();
    }

    go(t) { this.play(false); this.show(t); }

    play(on) {
      if (on === this.playing) return;
      this.playing = on;
      this.root.dataset.playing = String(on);
      this.stepText.setAttribute("aria-live", on ? "off" : "polite"); // screen readers cannot keep up with a playing replay
      const label = on ? "Pause" : "Play";
      this.playButton.setAttribute("aria-label", label);
      this.playButton.title = label;
      this.playButton.replaceChildren(icon(on ? "pause" : "play"));
      if (!on) return;
      if (this.t >= this.data.steps) this.show(0);
      let last = performance.now(), due = 0;
      const tick = () => {
        if (!this.playing || this.clock !== tick) return;
        const now = performance.now();
        due += ((now - last) / 1000) * this.speed; // measured by the clock, so that slow drawing skips steps instead of slowing down
        last = now;
        const steps = Math.min(Math.floor(due), 8); // do not jump after a tab was asleep
        if (steps) { due = Math.min(due - steps, 1); this.show(this.t + steps); }
        if (this.t >= this.data.steps) this.play(false);
        else setTimeout(tick, 15);
      };
      this.clock = tick; // an older tick function stops itself, so that only one runs
      setTimeout(tick, 15);
    }

    show(t) {
      this.t = Math.max(0, Math.min(this.data.steps, t));
      this.root.dataset.step = String(this.t);
      this.scrub.value = this.t;
      this.stepText.textContent = `step ${this.t} / ${this.data.steps}`;
      this.drawMap();
      this.drawCards();
      this.drawChart();
      this.follow();
    }

    follow() {
      let now = -1;
      this.entries.forEach(({ step, node }, i) => {
        node.className = step > this.t ? "rk-later" : step === this.t ? "rk-now" : "";
        if (step <= this.t) now = i;
      });
      if (now < 0) { this.list.scrollTop = 0; return; }
      // Scroll only the list; scrollIntoView would scroll the page too.
      const { node } = this.entries[now];
      this.list.scrollTop = node.offsetTop - this.list.offsetTop - this.list.clientHeight + node.offsetHeight * 2;
    }

    // ---- drawing -----------------------------------------------------------------------------------------

    style(name) { return getComputedStyle(this.root).getPropertyValue(name).trim(); }
    line(agent) { const { lines } = this.data.sprites.colors; return lines[agent % lines.length]; }

    resize() {
      this.board.resize(this.mapBox.clientWidth, MAX_MAP_HEIGHT, MAX_TILE);
      this.curves();
      this.drawMap();
      this.drawChart();
    }

    drawMap() {
      const { t, data } = this;
      const agents = data.agents.map((agent, i) => ({
        ...agent, row: this.at("position", t, i, 0), col: this.at("position", t, i, 1),
        heading: this.at("heading", t, i), prestige: this.at("prestige", t, i), carrying: this.arrays.carrying ? this.at("carrying", t, i) : 0,
      })).filter((_, i) => this.at("agent_mask", t, i));
      const arrows = this.arrows ? this.influencePairs() : [];
      const words = this.board.paint(this.frame("tiles", t), data.goals, agents, this.brightness(), arrows);
      const influences = arrows.filter((a) => a.fraction >= 0.25).map((a) => `; ${a.from} influences ${a.to} by ${nats(a.nats)}`);
      this.map.setAttribute("aria-label", `Map at step ${t}. ${words}${influences.join("")}`);
      this.map.dataset.arrows = String(arrows.length);
    }

    influencePairs() { // influence between agents in the step before this state, smallest first
      const { t, data } = this, pairs = [];
      if (!t || !data.max_influence) return pairs;
      const influence = this.frame("influence", t - 1);
      data.agents.forEach((a, k) => data.agents.forEach((b, j) => {
        const nats = influence[k * this.count + j];
        if (nats && this.at("agent_mask", t, k) && this.at("agent_mask", t, j)) {
          pairs.push({ from: a.letter, to: b.letter, nats, fraction: Math.abs(nats) / data.max_influence, negative: nats < 0 });
        }
      }));
      return pairs.sort((a, b) => a.fraction - b.fraction);
    }

    brightness() { // of each cell, 0 to 1; null: all cells are bright
      if (this.visibleTo === WHOLE_MAP) return null;
      const { unseen_brightness, unseen_by_all_brightness } = this.data.sprites.colors;
      if (this.visibleTo !== ANYONE) { const visible = this.frame("visible" + this.visibleTo, this.t); return (i) => (visible[i] ? 1 : unseen_brightness); }
      const all = this.data.agents.map((_, i) => this.frame("visible" + i, this.t));
      return (i) => (all.some((visible) => visible[i]) ? 1 : unseen_by_all_brightness);
    }

    drawCards() {
      const { t, data } = this;
      this.cards.forEach(({ box, view, role, facts }, i) => {
        const pixels = this.frame("view" + i, t);
        paintView(view, pixels);
        const here = this.at("agent_mask", t, i), acted = t > 0 && this.at("agent_mask", t - 1, i);
        box.classList.toggle("rk-absent", !here);
        role.textContent = ROLES[data.agents[i].role] + (here ? "" : ", absent");
        facts.return.textContent = short(this.returns[i][t]);
        facts.reward.textContent = t ? signed(this.at("reward", t - 1, i)) : "–";
        facts.action.textContent = acted ? data.actions[this.at("action", t - 1, i)] : "–";
        facts.prestige.textContent = this.at("prestige", t, i).toFixed(2);
        if (!data.max_influence) return;
        const influence = this.frame("influence", Math.max(0, t - 1));
        const sumOf = (pick) => data.agents.reduce((all, _, j) => all + influence[pick(j)], 0);
        facts.influence.textContent = t ? nats(sumOf((j) => i * this.count + j)) : "–";
        facts.influenced.textContent = t ? nats(sumOf((j) => j * this.count + i)) : "–";
      });
    }

    // ---- the chart: returns above, one row of rewards per agent below ------------------------------------------

    curves() { // drawn once per size, faint and full; the steps so far are copied from the full one
      const ratio = window.devicePixelRatio || 1;
      const width = this.chartBox.clientWidth, row = 20, top = 150, height = top + 14 + this.count * row + 24;
      this.plot = { left: 44, width: Math.max(1, width - 44 - 26), top: 10, bottom: top, row, height, ratio, all: width };
      this.chart.width = Math.round(width * ratio);
      this.chart.height = Math.round(height * ratio);
      this.chart.style.height = height + "px";
      this.faint = this.layer(0.28);
      this.full = this.layer(1);
    }

    layer(alpha) {
      const canvas = element("canvas", { width: this.chart.width, height: this.chart.height });
      const pen = canvas.getContext("2d");
      const { left, width, top, bottom, row, ratio } = this.plot;
      let low = 0, high = 0;
      for (const total of this.returns) for (const r of total) { low = Math.min(low, r); high = Math.max(high, r); }
      if (high - low < 1e-9) high = low + 1;
      const x = (t) => left + (this.data.steps ? t / this.data.steps : 0) * width;
      const y = (r) => bottom - ((r - low) / (high - low)) * (bottom - top);
      pen.scale(ratio, ratio);
      pen.font = "11px system-ui, sans-serif";
      this.axes(pen, x, y, low, high);
      pen.globalAlpha = alpha;
      const maxReward = this.arrays.reward.values.reduce((m, r) => Math.max(m, Math.abs(r)), 1e-9);
      this.returns.forEach((total, agent) => {
        pen.strokeStyle = pen.fillStyle = rgb(this.line(agent));
        pen.lineWidth = 2;
        pen.setLineDash([[], [7, 3], [2, 3], [9, 3, 2, 3]][agent % 4]); // distinguishable without color too
        pen.beginPath();
        pen.moveTo(x(0), y(0));
        for (let t = 1; t <= this.data.steps; t++) { pen.lineTo(x(t), y(total[t - 1])); pen.lineTo(x(t), y(total[t])); }
        pen.stroke();
        pen.setLineDash([]);
        const middle = bottom + 14 + row * (agent + 0.5);
        pen.lineWidth = 1;
        for (let t = 0; t < this.data.steps; t++) {
          const reward = this.at("reward", t, agent);
          if (!reward) continue;
          const tall = Math.max(2, (Math.abs(reward) / maxReward) * (row / 2 - 1));
          pen.fillRect(x(t + 1) - 1, reward > 0 ? middle - tall : middle, 2, tall);
        }
      });
      return canvas;
    }

    axes(pen, x, y, low, high) {
      const { left, width, bottom, row } = this.plot;
      const edge = this.style("--rk-edge"), faint = this.style("--rk-faint");
      pen.lineWidth = 1;
      pen.textBaseline = "middle";
      for (const value of ticks(low, high, 4)) {
        pen.strokeStyle = edge;
        pen.beginPath(); pen.moveTo(left, y(value)); pen.lineTo(left + width, y(value)); pen.stroke();
        pen.fillStyle = faint;
        pen.textAlign = "right";
        pen.fillText(short(value), left - 6, y(value));
      }
      // Letters at the ends of the lines, moved apart where they would overlap.
      const ends = this.returns.map((r, i) => ({ y: y(r[this.data.steps]), i })).sort((a, b) => a.y - b.y);
      ends.forEach((end, k) => { if (k) end.y = Math.max(end.y, ends[k - 1].y + 12); });
      const spill = ends.length ? Math.max(0, ends[ends.length - 1].y - bottom) : 0;
      pen.textAlign = "left";
      pen.fillStyle = this.style("--rk-text");
      for (const end of ends) pen.fillText(this.data.agents[end.i].letter, left + width + 6, end.y - spill);
      this.data.agents.forEach((agent, i) => {
        const middle = bottom + 14 + row * (i + 0.5);
        pen.strokeStyle = edge;
        pen.beginPath(); pen.moveTo(left, middle); pen.lineTo(left + width, middle); pen.stroke();
        pen.textAlign = "right";
        pen.fillText(agent.letter, left - 6, middle);
      });
      pen.fillStyle = faint;
      const below = bottom + 14 + this.count * row + 12;
      pen.textAlign = "center";
      for (const t of ticks(0, this.data.steps, width < 360 ? 4 : 8)) if (t === Math.round(t)) pen.fillText(short(t), x(t), below);
      pen.textAlign = "left";
      pen.fillText("step", 4, below);
    }

    drawChart() {
      if (!this.plot) return;
      const { left, width, top, height, ratio } = this.plot;
      const pen = this.chart.getContext("2d");
      const past = left + (this.data.steps ? this.t / this.data.steps : 0) * width;
      pen.setTransform(1, 0, 0, 1, 0, 0);
      pen.clearRect(0, 0, this.chart.width, this.chart.height);
      if (!this.chart.width) return;
      pen.drawImage(this.faint, 0, 0);
      pen.save();
      pen.beginPath();
      pen.rect(0, 0, (past + 1) * ratio, this.chart.height);
      pen.clip();
      pen.drawImage(this.full, 0, 0);
      pen.restore();
      pen.fillStyle = this.style("--rk-accent");
      pen.fillRect(Math.round(past * ratio - ratio / 2), top * ratio - 4, Math.max(1, Math.round(1.5 * ratio)), (height - top - 22) * ratio);
      const words = this.data.agents.map((a, i) => `${a.letter} ${a.name} ${short(this.returns[i][this.t])}`);
      this.chart.setAttribute("aria-label", `Returns at step ${this.t}: ${words.join("; ")}`);
    }
  }

  function ticks(low, high, about) { // round values from low to high: steps of 1, 2 or 5 times a power of ten
    const rough = (high - low) / about || 1, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 5].find((m) => m * power >= rough) || 10);
    const list = [];
    for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-9; v += step) list.push(Math.abs(v) < step * 1e-9 ? 0 : v);
    return list;
  }

  async function mount(root) {
    try {
      const data = JSON.parse(root.querySelector(".rk-data").textContent);
      return new Replay(root, data, await unpack(data));
    } catch (error) {
      const wait = root.querySelector(".rk-loading") || root.appendChild(element("p", {}));
      wait.textContent = `This replay cannot be played: ${error.message}. It needs a browser from 2023 or later.`;
      throw error;
    }
  }

  window.RookeryReplay = { mount };
})();
