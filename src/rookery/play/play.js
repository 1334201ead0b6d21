// The game page: draws the states that the server sends, and sends which keys are down. The server decides everything else.
(function () {
  "use strict";
  const { Board, ROLES, paintView, legend, element, rgb } = window.RookeryBoard;
  const MAX_TILE = 52, MIN_MAP_HEIGHT = 120, MAX_MAP_HEIGHT = 640, MARGIN = 8, VIEW = 96, DARK = 0.03, RETRY = 1500, REPEAT = 1000;
  const MAX_WIDTH_BESIDE = 0.6; // of the map, next to the buttons, as a fraction of both
  const PLAYER_RING = "#ffffff";
  const SPARE_KEYS = [..."1234567890zcvbnm"]; // of actions that have no keys by name, in order
  const KEYS = { // by action name; one that is called by a digit has it
    left: ["ArrowLeft", "a"], right: ["ArrowRight", "d"], forward: ["ArrowUp", "w"],
    "turn left": ["q"], "turn right": ["e"], up: ["ArrowUp", "w"], down: ["ArrowDown", "s"],
    "pick up": ["e"], drop: ["q"], toggle: [" "],
  };
  const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "space" };
  const short = (x) => String(Number(x.toPrecision(4)));
  const signed = (x) => (x > 0 ? "+" : "") + short(x);
  const placeOf = (event) => event.code || event.key; // some keyboards on screens do not say the place
  const unpack = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  class GamePage {
    constructor(root) {
      this.root = root;
      this.sprites = JSON.parse(root.querySelector(".rk-sprites").textContent);
      this.loading = root.querySelector(".rk-loading");
      this.seats = { you: null, taken: [], watching: 0 };
      this.down = []; // actions whose keys are down, in the order they were pressed
      this.actionOf = new Map(); // of each key that is down, by its place on the keyboard
      this.fog = false;
      this.connect();
    }

    connect() {
      // Next to the page, whatever folder a proxy has put it into.
      const folder = location.pathname.replace(/[^/]*$/, "");
      const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${folder}play${location.search}`);
      socket.onmessage = (event) => this.receive(JSON.parse(event.data));
      socket.onclose = (event) => {
        this.down = [];
        this.root.dataset.state = "lost";
        this.say(event.reason ? `The game closed the connection: ${event.reason}.` : "The game cannot be reached; trying again…");
        setTimeout(() => this.connect(), RETRY);
      };
      this.socket = socket;
    }

    send(message) { if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message)); }

    receive({ hello, seats, state, error }) {
      if (hello) { this.build(hello); this.say(""); this.root.dataset.state = "on"; }
      if (seats) { this.seats = seats; this.showSeats(); if (this.state) this.draw(); }
      if (state) { this.state = state; this.show(); }
      if (error) { this.say(error); }
    }

    say(text) { (this.line || this.loading).textContent = text; }

    // ---- parts of the page --------------------------------------------------------------------------

    build(hello) {
      const first = !this.hello;
      this.hello = hello;
      this.state = null; // that of another server may have other agents
      this.keys = this.assign(hello.actions);
      this.map = element("canvas", { role: "img" });
      this.board = new Board(this.map, this.sprites, hello.height, hello.width);
      this.overlay = element("div", { class: "rk-overlay", hidden: true });
      this.mapBox = element("div", { class: "rk-map" }, element("div", { class: "rk-screen" }, this.map, this.overlay));
      this.you = element("span", { class: "rk-you", "aria-live": "polite" });
      this.clock = element("span", { class: "rk-clock" });
      this.line = element("p", { class: "rk-status", role: "status" });
      this.cards = hello.agents.map((agent, i) => this.card(agent, i));
      const roles = [...new Set([...hello.agents.map((a) => a.role), "person"])];
      this.legend = element("ul", { class: "rk-legend", "aria-label": "Legend" });
      this.legendRoles = roles;
      this.legendKinds = "";
      const rules = element("ul", { class: "rk-rules", "aria-label": "Rules", hidden: !hello.rules.length }, ...hello.rules.map((rule) => element("li", {}, rule)));
      this.header = element("header", {}, element("h2", {}, hello.task), this.you, this.clock);
      this.root.replaceChildren(
        this.header,
        element("p", { class: "rk-note" }, `${hello.description}; ${short(hello.fps)} steps per second`),
        this.howItWorks(),
        element("div", { class: "rk-stage" }, rules, this.mapBox, this.bar(hello),
          element("div", { class: "rk-agents" }, ...this.cards.map((c) => c.box))),
        this.legend,
      );
      if (first) this.listen();
      this.fit(); // a background tab gets no resize events until it is shown
      if (this.watch) this.watch.disconnect();
      this.watch = new ResizeObserver(() => this.fit());
      for (const node of [this.header, rules, this.mapBox, this.pad]) this.watch.observe(node);
    }

    // As large a map as fits on the first screen together with the buttons, which are below it or, by play.css, beside it.
    fit() {
      const map = this.mapBox.getBoundingClientRect(), pad = this.pad.getBoundingClientRect(), beside = pad.top < map.bottom;
      // The height that does not change while a phone hides its address bar.
      const height = document.documentElement.clientHeight - (map.top + scrollY) - (beside ? 0 : pad.bottom - map.bottom) - MARGIN;
      const width = beside ? MAX_WIDTH_BESIDE * this.mapBox.parentNode.clientWidth : this.mapBox.clientWidth;
      this.board.resize(width, Math.min(MAX_MAP_HEIGHT, Math.max(MIN_MAP_HEIGHT, height)), MAX_TILE);
      if (this.state) this.draw();
    }

    howItWorks() {
      return element("details", { class: "rk-how" }, element("summary", {}, "How it works"),
        element("p", {}, "Move your agent with the keys or the buttons. Hold a key down to repeat its action. Numbers on goals are their order. "
          + "Each agent observes only the picture next to its name; a policy moves every agent that no person has taken. "
          + "The return of an agent is the sum of its rewards in the episode."));
    }

    assign(actions) { // the keys of each action
      const keys = new Map(), keysOf = {};
      const spare = SPARE_KEYS.filter((key) => !actions.includes(key));
      for (const action of actions) {
        if (action === "wait" || action === "done" || action === "stay") continue;
        const named = KEYS[action] || (/^[0-9]$/.test(action) ? [action] : []);
        keysOf[action] = named.filter((key) => !keys.has(key));
        if (!keysOf[action].length && spare.length) keysOf[action] = [spare.shift()];
        for (const key of keysOf[action]) keys.set(key, action);
      }
      this.keysOf = keysOf;
      return keys;
    }

    card(agent, i) {
      const [height, width] = agent.view;
      const scale = VIEW / Math.max(height, width);
      const size = `width:${Math.round(width * scale)}px;height:${Math.round(height * scale)}px`;
      const view = element("canvas", { width, height, style: size, role: "img", "aria-label": `What ${agent.name} sees` });
      const facts = {}, list = element("dl", {});
      for (const key of ["return", "reward", "action", "prestige"]) {
        facts[key] = element("dd", {});
        list.append(element("dt", {}, key), facts[key]);
      }
      const role = element("div", { class: "rk-role" });
      const seat = element("button", { type: "button", onclick: () => this.send({ sit: this.seats.you === i ? null : i }) });
      if (!this.hello.human_slots.includes(i)) seat.hidden = true;
      const name = element("div", { class: "rk-name" }, `${agent.letter}  ${agent.name}`);
      const box = element("div", { class: "rk-agent" }, view, element("div", { class: "rk-facts" }, name, role, list, seat));
      box.style.setProperty("--rk-line", rgb(this.sprites.colors.lines[i % this.sprites.colors.lines.length]));
      box.addEventListener("animationend", () => box.classList.remove("rk-paid", "rk-fined"));
      return { box, view, role, facts, seat };
    }

    bar(hello) {
      this.pads = {};
      this.pad = element("div", { class: "rk-pad", role: "group", "aria-label": "Actions" });
      for (const [action, keys] of Object.entries(this.keysOf)) {
        const label = `${NAMES[keys[0]] || (keys[0] || "").toUpperCase()} ${action}`.trim();
        const node = element("button", {
          type: "button",
          onpointerdown: (event) => { event.preventDefault(); node.setPointerCapture(event.pointerId); this.press(action); this.root.focus({ preventScroll: true }); },
          onpointerup: () => this.release(action), onpointercancel: () => this.release(action),
          onclick: (event) => { if (event.detail === 0) this.send({ press: action }); }, // pressed with the keyboard or a screen reader
        }, label);
        this.pads[action] = node;
        this.pad.append(node);
      }
      this.pauseButton = element("button", { type: "button", onclick: () => this.pause() }, "Pause");
      this.restartButton = element("button", { type: "button", onclick: () => this.send({ restart: true }) }, "Restart");
      this.fogBox = element("input", { type: "checkbox", onchange: () => { this.fog = this.fogBox.checked; this.draw(); this.root.focus({ preventScroll: true }); } });
      this.fogBox.checked = this.fog;
      const replay = element("a", { href: `replay${location.search}`, download: "" }, "Save this episode as a replay");
      const key = (k) => element("kbd", {}, NAMES[k] || k.toUpperCase());
      const keys = Object.entries(this.keysOf).flatMap(([action, names]) => [...names.map(key), `\u00a0${action} `]);
      return element("div", { class: "rk-bar" }, this.pad,
        element("div", { class: "rk-tools" }, this.pauseButton, this.restartButton,
          element("label", {}, this.fogBox, "Fog: only what your agent sees"), replay,
          element("span", { class: "rk-keys" }, ...keys, key("p"), " pause ", key("r"), " restart ", key("f"), " fog")),
        this.line);
    }

    // ---- keys ---------------------------------------------------------------------------------------------

    listen() {
      document.addEventListener("keydown", (event) => this.keyDown(event));
      document.addEventListener("keyup", (event) => this.keyUp(event));
      window.addEventListener("resize", () => this.fit());
      window.addEventListener("blur", () => this.releaseAll());
      document.addEventListener("visibilitychange", () => { if (document.hidden) this.releaseAll(); });
      setInterval(() => { if (this.down.length) this.hold(); }, REPEAT); // the server lets go what is not repeated
    }

    keyDown(event) {
      if (event.key === "Meta") this.releaseAll(); // while it is down, macOS does not tell of keys that come up
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const tag = event.target.tagName;
      if ((tag === "BUTTON" || tag === "INPUT" || tag === "A") && (event.key === " " || event.key === "Enter")) return;
      const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      const action = this.keys.get(name);
      if (action) {
        event.preventDefault();
        if (event.repeat) return;
        this.actionOf.set(placeOf(event), action);
        this.press(action);
      } else if (!event.repeat) {
        const act = {
          p: () => this.pause(), r: () => this.send({ restart: true }),
          f: () => { this.fogBox.checked = this.fog = !this.fog; this.draw(); },
        }[name];
        if (act) { event.preventDefault(); act(); }
      }
    }

    // By the place of the key: what it is called may have changed with Shift, and a modifier may have come down.
    keyUp(event) {
      const place = placeOf(event), action = this.actionOf.get(place);
      if (!action) return;
      event.preventDefault();
      this.actionOf.delete(place);
      this.release(action);
    }

    press(action) {
      if (this.seats.you === null) { this.say("You are watching. Choose a free agent to play."); return; }
      if (this.state && this.state.paused) this.send({ pause: false });
      this.down = [...this.down.filter((a) => a !== action), action];
      this.hold();
      this.showKeys();
    }

    release(action) {
      if (!this.down.includes(action)) return;
      this.down = this.down.filter((a) => a !== action);
      this.hold();
      this.showKeys();
    }

    releaseAll() { if (this.down.length) { this.down = []; this.hold(); this.showKeys(); } }
    hold() { this.send({ hold: this.down.length ? this.down[this.down.length - 1] : null }); } // the last key pressed
    showKeys() { for (const [action, node] of Object.entries(this.pads)) node.classList.toggle("rk-down", this.down.includes(action)); }
    pause() { if (this.state) this.send({ pause: !this.state.paused }); }

    // ---- drawing -----------------------------------------------------------------------------------------

    showSeats() {
      const { you, taken, watching } = this.seats;
      const { agents, human_slots } = this.hello;
      if (you === null) this.down = [];
      this.root.dataset.seat = String(you);
      const others = watching - (you === null ? 1 : 0);
      this.you.textContent = (you === null ? "You are watching" : `You are ${agents[you].letter}`) + (others > 0 ? `; ${others} watching` : "");
      this.cards.forEach(({ box, role, seat }, i) => {
        const mine = i === you, person = taken.includes(i);
        box.classList.toggle("rk-mine", mine);
        role.textContent = mine ? "you" : person ? "a person" : ROLES[agents[i].role];
        seat.textContent = mine ? "Stop playing" : "Play this agent";
        seat.disabled = !mine && person;
        if (!human_slots.includes(i)) seat.hidden = true;
      });
      for (const node of Object.values(this.pads)) node.disabled = you === null;
      this.fogBox.disabled = you === null;
      this.pauseButton.disabled = this.restartButton.disabled = you === null && taken.length > 0;
      this.showKeys();
    }

    show() {
      const { state, hello } = this;
      const decoded = { tiles: unpack(state.tiles), visible: state.visible.map(unpack), views: state.views.map(unpack) };
      Object.assign(state, decoded);
      this.root.dataset.step = String(state.step);
      this.root.dataset.episode = String(state.episode);
      this.root.dataset.done = String(state.done);
      this.root.dataset.paused = String(state.paused);
      this.clock.textContent = `episode ${state.episode}, step ${state.step} of ${hello.max_steps}`;
      this.pauseButton.textContent = state.paused ? "Continue" : "Pause";
      this.cards.forEach(({ box, view, facts }, i) => {
        paintView(view, state.views[i]);
        const reward = state.reward[i];
        box.classList.toggle("rk-absent", !state.agent_mask[i]);
        if (reward && this.flashed !== `${state.episode}.${state.step}`) box.classList.add(reward > 0 ? "rk-paid" : "rk-fined");
        facts.return.textContent = short(state.returns[i]);
        facts.reward.textContent = reward ? signed(reward) : "0";
        facts.action.textContent = state.step ? hello.actions[state.action[i]] || "–" : "–";
        facts.prestige.textContent = state.prestige[i].toFixed(2);
      });
      this.flashed = `${state.episode}.${state.step}`;
      this.showOverlay();
      this.showLegend();
      this.draw();
    }

    showOverlay() {
      const { done, paused, seconds_to_restart, returns } = this.state;
      this.overlay.hidden = !done && !paused;
      if (this.overlay.hidden) return;
      if (!done) { this.overlay.replaceChildren(element("strong", {}, "Paused"), "Press P or any of your keys to continue"); return; }
      const order = [...returns.keys()].sort((a, b) => returns[b] - returns[a]);
      const rows = order.map((i) => element("li", {}, `${this.hello.agents[i].letter} ${this.hello.agents[i].name}${i === this.seats.you ? " (you)" : ""}: ${short(returns[i])}`));
      this.overlay.replaceChildren(
        element("strong", {}, "The episode is over"), element("ol", {}, ...rows),
        `The next one starts in ${Math.ceil(seconds_to_restart)} s. Press R to start it now.`,
      );
    }

    showLegend() {
      const kinds = [...new Set([...this.state.tiles])].sort((a, b) => a - b);
      if (String(kinds) === this.legendKinds) return;
      this.legendKinds = String(kinds);
      this.legend.replaceChildren(...legend(this.sprites, kinds, this.legendRoles, false));
    }

    draw() {
      if (!this.state || !this.state.views.length || !this.board.tile) return;
      const { state, hello, seats } = this;
      const agents = hello.agents.map((agent, i) => ({
        ...agent, row: state.position[i][0], col: state.position[i][1], heading: state.heading[i],
        prestige: state.prestige[i], carrying: state.carrying[i], role: seats.taken.includes(i) ? "person" : agent.role,
        ring: i === seats.you ? PLAYER_RING : "",
      })).filter((_, i) => state.agent_mask[i]);
      // Bright cells: those that the player's agent sees, or, for spectators, those that any agent sees.
      const views = seats.you === null ? state.visible : [state.visible[seats.you]];
      const unseen = this.fog && seats.you !== null ? DARK : this.sprites.colors.unseen_by_all_brightness;
      const words = this.board.paint(state.tiles, state.goals, agents, (i) => (views.some((visible) => visible[i]) ? 1 : unseen));
      this.map.setAttribute("aria-label", `Map at step ${state.step}. ${words}`);
    }
  }

  new GamePage(document.getElementById("game"));
})();
