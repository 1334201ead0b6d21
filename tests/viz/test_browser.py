"""The film in a real browser: it draws, listens to the keyboard, and runs nothing that data brought."""

import dataclasses
import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from rookery.viz import Report, colors, write_replay_html
from tests.viz.test_arrows import together

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
# Time in the page is virtual: it runs as fast as the page allows, and the page is dumped when it is used up.
FLAGS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --virtual-time-budget=20000 --dump-dom
"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")

# Presses keys, and leaves what it saw in the title.
SCRIPT = """<script>
const film = document.querySelector(".rk-replay"), all = document.querySelectorAll(".rk-replay"), page = {};
const state = () => film.dataset.step + " " + film.querySelector(".rk-step").textContent;
const press = (key) => film.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const ready = setInterval(() => {
  if (![...all].every((f) => f.dataset.ready)) return;
  clearInterval(ready);
  const map = film.querySelector(".rk-map canvas"), pen = map.getContext("2d");
  const tile = map.height / 5;
  const pixel = (row, col, y, x) =>
    [...pen.getImageData((col + x) * tile, (row + y) * tile, 1, 1).data.slice(0, 3)].join();
  const sight = film.querySelectorAll("select")[1];
  if (sight) {
    page.glimmer = pixel(0, 0, 0.5, 0.5);
    sight.value = "-1"; // the whole map
    sight.dispatchEvent(new Event("change"));
  }
  page.start = state();
  page.columns = map.width / tile;
  page.wall = pixel(0, 0, 0.5, 0.5);
  page.goal = pixel(1, 7, 0.2, 0.2);
  page.agent = pixel(1, 4, 0.3, 0.2);
  page.empty = pixel(3, 4, 0.5, 0.5);
  const toggle = film.querySelector(".rk-arrows");
  if (toggle) { // a page of influence: nothing else is asked of it
    press("ArrowRight"); press("ArrowRight");
    page.arrow = pixel(2, 3, 0.62, 0.5);
    page.arrows = map.dataset.arrows;
    page.label = map.getAttribute("aria-label");
    page.scale = film.querySelector(".rk-scale").textContent;
    page.facts = film.querySelector(".rk-agent dl").textContent;
    toggle.click();
    page.off = map.dataset.arrows + " " + pixel(2, 3, 0.62, 0.5);
    press("i");
    page.on = map.dataset.arrows + " " + toggle.checked;
    document.title = JSON.stringify(page);
    return;
  }
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
  page.unfocused = film.dataset.step;
  for (const key of ["End", "ArrowLeft", "Home", "ArrowRight"]) { press(key); page[key] = state(); }
  page.come = pixel(3, 4, 0.3, 0.8);
  const view = film.querySelector(".rk-agent canvas");
  page.view = [...view.getContext("2d").getImageData(1, 2, 1, 1).data.slice(0, 3)].join();
  sight.value = "0";
  sight.dispatchEvent(new Event("change"));
  page.dim = pixel(0, 0, 0.5, 0.5);
  film.querySelectorAll(".rk-log button")[1].click();
  page.jump = state();
  page.facts = film.querySelectorAll(".rk-agent dl")[1].textContent;
  page.label = map.getAttribute("aria-label");
  page.others = [...all].slice(1).map((f) => f.dataset.step).join();
  press("Home");
  press(" ");
  page.playing = film.dataset.playing;
  const end = setInterval(() => {
    if (film.dataset.playing !== "false") return;
    clearInterval(end);
    page.finished = state();
    page.hacked = String(window.hacked);
    page.names = document.querySelector(".rk-name").textContent;
    document.title = JSON.stringify(page);
  }, 50);
}, 50);
</script></body>"""


def browse(path, tmp_path):
    path.write_text(path.read_text("utf-8").replace("</body>", SCRIPT), "utf-8")
    command = [BROWSER, *FLAGS.split(), f"--user-data-dir={tmp_path / 'profile'}", path.as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600)
    title = html.unescape(re.search("<title>(.*?)</title>", run.stdout, re.S)[1])
    assert title.startswith("{"), f"the film did not get ready: {title}\n{run.stderr[-2000:]}"
    return json.loads(title)


def rgb(color):
    return ",".join(map(str, color))


def test_a_film_plays(recording, tmp_path):
    page = browse(write_replay_html(recording, tmp_path / "film.html"), tmp_path)
    assert page["start"] == "0 step 0 / 4"
    assert page["columns"] == 9
    assert (page["wall"], page["goal"]) == (rgb(colors.WALL_COLOR), rgb(colors.GOAL_COLOR))
    assert (page["agent"], page["empty"]) == (rgb(colors.PRESTIGE_LOW_COLOR), rgb(colors.FLOOR_COLOR))
    assert page["unfocused"] == "1"  # alone on its page, the film has the keyboard at once
    assert page["End"] == "4 step 4 / 4"
    assert page["Home"] == "0 step 0 / 4"
    assert page["ArrowLeft"] == "3 step 3 / 4"
    assert page["ArrowRight"] == "1 step 1 / 4"
    assert page["come"] == rgb(colors.PRESTIGE_HIGH_COLOR)
    assert page["view"] == rgb(recording.views[0][1][2, 1])
    dimmed = np.array(list(map(int, page["dim"].split(","))))
    night = np.array(colors.UNSEEN_OVERLAY_COLOR)
    np.testing.assert_allclose(dimmed, night + (colors.WALL_COLOR - night) * colors.UNSEEN_BRIGHTNESS, atol=2)
    glimmer = np.array(list(map(int, page["glimmer"].split(","))))
    np.testing.assert_allclose(glimmer, night + (colors.WALL_COLOR - night) * colors.UNSEEN_BY_ALL_BRIGHTNESS, atol=2)
    assert page["jump"] == "4 step 4 / 4"
    assert page["facts"] == "return-1.5reward-1.5actionforwardprestige1.00"
    assert "A novice at row 2, column 9, facing east; B expert 1 at row 4, column 3, facing west" in page["label"]
    assert page["playing"] == "true"
    assert page["finished"] == "4 step 4 / 4"


def test_hostile_films_share_a_report(hostile, recording, tmp_path):
    ends = {f: getattr(recording, f)[:1] for f in ("tiles", "position", "heading", "agent_mask", "prestige")}
    moment = dataclasses.replace(  # an episode of no steps
        recording, **ends, reward=recording.reward[:0], action=recording.action[:0], goals=(), visible=(),
        views=tuple(view[:1] for view in recording.views),
    )  # fmt: skip
    report = Report("T").replay(hostile).replay(recording).replay(moment)
    page = browse(report.write(tmp_path / "report.html"), tmp_path)
    assert page["hacked"] == "undefined"
    assert page["names"] == f"A  {hostile.agent_names[0]}"
    assert page["unfocused"] == "0"  # in a report the keys scroll, until a film is chosen
    assert page["others"] == "0,0"  # the other films have not moved with the first


def test_arrows_can_be_seen_and_turned_off(recording, tmp_path):
    film = together(recording)
    page = browse(write_replay_html(film, tmp_path / "film.html"), tmp_path)
    assert page["arrow"] == rgb(colors.INFLUENCE_COLOR)
    assert page["arrows"] == "2"
    assert page["label"].endswith("; A influences B by 1 nats")
    assert "influence in this step; the widest arrow is 1 nats" in page["scale"]
    assert page["facts"].endswith("influence1 natsinfluenced0.02 nats")
    assert page["off"] == "0 " + rgb(colors.FLOOR_COLOR)
    assert page["on"] == "2 true"
