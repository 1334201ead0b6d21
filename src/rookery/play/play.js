// A game in the browser: draws what the server tells, and tells it which keys are down. The server decides all.
(function () {
  "use strict";
  const { Board, paintView, legend, element, rgb } = window.RookeryBoard;
  const MAX_TILE = 52, MAX_MAP_HEIGHT = 640, VIEW = 96, DARK = 0.03, RETRY = 1500;
  const MINE = "#ffffff";
  const KEYS = { // by the action's name; others get the digits, in their order
    left: ["ArrowLeft", "a"], right: ["ArrowRight", "d"], forward: ["ArrowUp", "w"],
    "turn left": ["q"], "turn right": ["e"], up: ["ArrowUp", "w"], down: ["ArrowDown", "s"],
    "pick up": ["e"], drop: ["q"], toggle: [" "],
  };
  const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "space" };
  const ROLES = { learning: "learning", frozen: "trained", scripted: "scripted", random: "random", person: "person" };
  const short = (x) => String(Number(x.toPrecision(4)));
  const signed = (x) => (x > 0 ? "+" : "") + short(x);
  const unpack = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  class GamePage {
    constructor(root) {
      this.root = root;
      this.look = JSON.parse(root.querySelector(".rk-look").textContent);
      this.wait = root.querySelector(".rk-wait");
      this.seats = { you: null, taken: [], watching: 0 };
      this.down = []; // actions whose keys are down, the latest last
      this.fog = false;
      this.connect();
    }

    connect() {
      const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/play`);
      socket.onmessage = (event) => this.hear(JSON.parse(event.data));
      socket.onclose = (event) => {
        this.down = [];
        this.root.dataset.state = "lost";
        this.say(event.reason ? `The game hung up: ${event.reason}.` : "The game is not there; trying to reach it again…");
        setTimeout(() => this.connect(), RETRY);
      };
      this.socket = socket;
    }

    send(message) { if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message)); }

    hear({ hello, seats, moment, error }) {
      if (hello) { this.build(hello); this.say(""); this.root.dataset.state = "on"; }
      if (seats) { this.seats = seats; this.showSeats(); if (this.moment) this.draw(); }
      if (moment) { this.moment = moment; this.show(); }
      if (error) { this.say(error); }
    }

    say(text) { (this.line || this.wait).textContent = text; }

    // ---- what stands on the page --------------------------------------------------------------------------

    build(hello) {
      const first = !this.hello;
      this.hello = hello;
      this.keys = this.assign(hello.actions);
      this.map = element("canvas", { role: "img" });
      this.board = new Board(this.map, this.look, hello.height, hello.width);
      this.curtain = element("div", { class: "rk-curtain", hidden: true });
      this.mapBox = element("div", { class: "rk-map" }, element("div", { class: "rk-screen" }, this.map, this.curtain));
      this.you = element("span", { class: "rk-you", "aria-live": "polite" });
      this.clock = element("span", { class: "rk-clock" });
      this.line = element("p", { class: "rk-say", role: "status" });
      this.cards = hello.agents.map((agent, i) => this.card(agent, i));
      const roles = [...new Set([...hello.agents.map((a) => a.role), "person"])];
      this.legend = element("ul", { class: "rk-legend", "aria-label": "Legend" });
      this.legendRoles = roles;
      this.legendKinds = "";
      this.root.replaceChildren(
        element("header", {}, element("h2", {}, hello.task), this.you, this.clock),
        element("p", { class: "rk-note" }, hello.about),
        element("div", { class: "rk-stage" }, this.mapBox, this.bar(hello),
          element("div", { class: "rk-agents" }, ...this.cards.map((c) => c.box))),
        this.legend,
      );
      if (first) this.listen();
      const fit = () => { this.board.resize(this.mapBox.clientWidth, MAX_MAP_HEIGHT, MAX_TILE); if (this.moment) this.draw(); };
      fit(); // a tab in the background is not told its size until somebody looks at it
      if (this.watch) this.watch.disconnect();
      this.watch = new ResizeObserver(fit);
      this.watch.observe(this.mapBox);
    }

    assign(actions) { // which key does which action
      const keys = new Map(), own = {};
      let digit = 1;
      for (const action of actions) {
        if (action === "wait" || action === "done" || action === "stay") continue;
        own[action] = (KEYS[action] || []).filter((key) => !keys.has(key));
        if (!own[action].length && digit <= 9) own[action] = [String(digit++)];
        for (const key of own[action]) keys.set(key, action);
      }
      this.keysOf = own;
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
      if (!this.hello.open.includes(i)) seat.hidden = true;
      const name = element("div", { class: "rk-name" }, `${agent.mark}  ${agent.name}`);
      const box = element("div", { class: "rk-agent" }, view, element("div", { class: "rk-facts" }, name, role, list, seat));
      box.style.setProperty("--rk-line", rgb(this.look.colors.lines[i % this.look.colors.lines.length]));
      box.addEventListener("animationend", () => box.classList.remove("rk-paid", "rk-fined"));
      return { box, view, role, facts, seat };
    }

    bar(hello) {
      this.pads = {};
      const pad = element("div", { class: "rk-pad", role: "group", "aria-label": "Actions" });
      for (const [action, keys] of Object.entries(this.keysOf)) {
        const label = `${NAMES[keys[0]] || (keys[0] || "").toUpperCase()} ${action}`.trim();
        const node = element("button", {
          type: "button",
          onpointerdown: (event) => { event.preventDefault(); node.setPointerCapture(event.pointerId); this.press(action); this.root.focus({ preventScroll: true }); },
          onpointerup: () => this.release(action), onpointercancel: () => this.release(action),
          onclick: (event) => { if (event.detail === 0) this.send({ press: action }); }, // from the keyboard or a reader
        }, label);
        this.pads[action] = node;
        pad.append(node);
      }
      this.pauseButton = element("button", { type: "button", onclick: () => this.pause() }, "Pause");
      this.restartButton = element("button", { type: "button", onclick: () => this.send({ restart: true }) }, "Restart");
      this.fogBox = element("input", { type: "checkbox", onchange: () => { this.fog = this.fogBox.checked; this.draw(); this.root.focus({ preventScroll: true }); } });
      const film = element("a", { href: "/film", download: "" }, "Save this episode as a film");
      const key = (k) => element("kbd", {}, k);
      return element("div", { class: "rk-bar" }, pad,
        element("div", { class: "rk-tools" }, this.pauseButton, this.restartButton,
          element("label", {}, this.fogBox, "Fog: only what my agent sees"), film,
          element("span", { class: "rk-keys" }, key("P"), " pause ", key("R"), " restart ", key("F"), " fog")),
        this.line);
    }

    // ---- keys ---------------------------------------------------------------------------------------------

    listen() {
      document.addEventListener("keydown", (event) => this.key(event, true));
      document.addEventListener("keyup", (event) => this.key(event, false));
      window.addEventListener("blur", () => this.releaseAll());
      document.addEventListener("visibilitychange", () => { if (document.hidden) this.releaseAll(); });
    }

    key(event, down) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const tag = event.target.tagName;
      if ((tag === "BUTTON" || tag === "INPUT" || tag === "A") && (event.key === " " || event.key === "Enter")) return;
      const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      const action = this.keys.get(name);
      if (action) {
        event.preventDefault();
        if (event.repeat) return;
        if (down) this.press(action); else this.release(action);
      } else if (down && !event.repeat) {
        const act = {
          p: () => this.pause(), r: () => this.send({ restart: true }),
          f: () => { this.fogBox.checked = this.fog = !this.fog; this.draw(); },
        }[name];
        if (act) { event.preventDefault(); act(); }
      }
    }

    press(action) {
      if (this.seats.you === null) { this.say("You are watching; take a free agent to play."); return; }
      if (this.moment && this.moment.paused) this.send({ pause: false });
      if (!this.down.includes(action)) this.down.push(action);
      this.send({ hold: action });
      this.mark();
    }

    release(action) {
      if (!this.down.includes(action)) return;
      this.down = this.down.filter((a) => a !== action);
      this.send({ hold: this.down.length ? this.down[this.down.length - 1] : null });
      this.mark();
    }

    releaseAll() { if (this.down.length) { this.down = []; this.send({ hold: null }); this.mark(); } }
    mark() { for (const [action, node] of Object.entries(this.pads)) node.classList.toggle("rk-down", this.down.includes(action)); }
    pause() { if (this.moment) this.send({ pause: !this.moment.paused }); }

    // ---- pictures -----------------------------------------------------------------------------------------

    showSeats() {
      const { you, taken, watching } = this.seats;
      const { agents, open } = this.hello;
      if (you === null) this.down = [];
      this.root.dataset.seat = String(you);
      const others = watching - (you === null ? 1 : 0);
      this.you.textContent = (you === null ? "You are watching" : `You are ${agents[you].mark}`) + (others > 0 ? `; ${others} watching` : "");
      this.cards.forEach(({ box, role, seat }, i) => {
        const mine = i === you, person = taken.includes(i);
        box.classList.toggle("rk-mine", mine);
        role.textContent = mine ? "you" : person ? "a person" : ROLES[agents[i].role];
        seat.textContent = mine ? "Stand up and watch" : "Play this one";
        seat.disabled = !mine && person;
        if (!open.includes(i)) seat.hidden = true;
      });
      for (const node of Object.values(this.pads)) node.disabled = you === null;
      this.fogBox.disabled = you === null;
      this.pauseButton.disabled = this.restartButton.disabled = you === null && taken.length > 0;
      this.mark();
    }

    show() {
      const { moment, hello } = this;
      const decoded = { tiles: unpack(moment.tiles), seen: moment.seen.map(unpack), views: moment.views.map(unpack) };
      Object.assign(moment, decoded);
      this.root.dataset.step = String(moment.step);
      this.root.dataset.episode = String(moment.episode);
      this.root.dataset.over = String(moment.over);
      this.root.dataset.paused = String(moment.paused);
      this.clock.textContent = `episode ${moment.episode}, step ${moment.step} of ${hello.limit}, ${short(hello.rate)} a second`;
      this.pauseButton.textContent = moment.paused ? "Go on" : "Pause";
      this.cards.forEach(({ box, view, facts }, i) => {
        paintView(view, moment.views[i]);
        const reward = moment.reward[i];
        box.classList.toggle("rk-absent", !moment.active[i]);
        if (reward && this.flashed !== `${moment.episode}.${moment.step}`) box.classList.add(reward > 0 ? "rk-paid" : "rk-fined");
        facts.return.textContent = short(moment.returns[i]);
        facts.reward.textContent = reward ? signed(reward) : "0";
        facts.action.textContent = moment.step ? hello.actions[moment.action[i]] || "–" : "–";
        facts.prestige.textContent = moment.prestige[i].toFixed(2);
      });
      this.flashed = `${moment.episode}.${moment.step}`;
      this.showCurtain();
      this.showLegend();
      this.draw();
    }

    showCurtain() {
      const { over, paused, rest, returns } = this.moment;
      this.curtain.hidden = !over && !paused;
      if (this.curtain.hidden) return;
      if (!over) { this.curtain.replaceChildren(element("strong", {}, "Paused"), "P, or any of your keys, goes on"); return; }
      const order = [...returns.keys()].sort((a, b) => returns[b] - returns[a]);
      const rows = order.map((i) => element("li", {}, `${this.hello.agents[i].mark} ${this.hello.agents[i].name}${i === this.seats.you ? " (you)" : ""}: ${short(returns[i])}`));
      this.curtain.replaceChildren(
        element("strong", {}, "The episode is over"), element("ol", {}, ...rows),
        `The next begins in ${Math.ceil(rest)} s; R begins it now`,
      );
    }

    showLegend() {
      const kinds = [...new Set([...this.moment.tiles])].sort((a, b) => a - b);
      if (String(kinds) === this.legendKinds) return;
      this.legendKinds = String(kinds);
      this.legend.replaceChildren(...legend(this.look, kinds, this.legendRoles, false));
    }

    draw() {
      if (!this.moment || !this.moment.views.length || !this.board.tile) return;
      const { moment, hello, seats } = this;
      const agents = hello.agents.map((agent, i) => ({
        ...agent, row: moment.position[i][0], col: moment.position[i][1], heading: moment.heading[i],
        prestige: moment.prestige[i], carrying: moment.carrying[i], role: seats.taken.includes(i) ? "person" : agent.role,
        ring: i === seats.you ? MINE : "",
      })).filter((_, i) => moment.active[i]);
      // Lit is what my agent sees, or, for who watches, what any agent sees.
      const mine = seats.you === null ? moment.seen : [moment.seen[seats.you]];
      const left = this.fog && seats.you !== null ? DARK : this.look.colors.glimmer;
      const words = this.board.paint(moment.tiles, moment.goals, agents, (i) => (mine.some((seen) => seen[i]) ? 1 : left));
      this.map.setAttribute("aria-label", `Map at step ${moment.step}. ${words}`);
    }
  }

  new GamePage(document.getElementById("game"));
})();
