import collections
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from rookery.errors import ConfigError, StorageError
from rookery.viz import Report, interval_dots, learning_curves


class Page(HTMLParser):
    """Tags, attributes and visible text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self.inside = collections.Counter(), [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += attrs
        self.inside = tag

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.words.append(data)


def test_everything_in_one_page(recording, tmp_path):
    curve = learning_curves({"a": ([0, 1], [[0, 1], [1, 3]])})
    dots = interval_dots({"a": [1, 2]})
    report = Report("Title", "Subtitle").heading("Part").paragraph("Words.").figure(curve, "A curve").figure(dots)
    report.replay(recording, "The best").replay(recording)
    path = report.key_values({"seeds": 5}, "Run").write(tmp_path / "deep" / "report.html")
    text = path.read_text("utf-8")
    page = Page(text)
    assert (page.tags["main"], page.tags["svg"], page.tags["section"]) == (1, 2, 3)
    assert text.count("window.RookeryReplay = {") == 1  # the player travels once
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {"replay1", "replay2"} <= set(ids)
    referred = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
    assert referred
    assert {a or b for a, b in referred} <= set(ids)
    assert os.listdir(path.parent) == ["report.html"]


def test_the_page_asks_the_network_for_nothing(recording):
    report = Report("T").figure(interval_dots({"a": [1, 2]}, reference_levels={"b": 1})).replay(recording)
    page = Page(report.html())
    for name, value in page.attributes:
        assert name not in ("src", "srcset", "action", "data", "poster"), (name, value)
        if name.endswith("href"):
            assert value.startswith("#")
    assert "link" not in page.tags
    assert "@import" not in report.html()
    assert not re.search(r"url\((?!#)", report.html())


def test_verdicts_say_it_in_words():
    page = Page(Report("T").verdict("x", True).verdict("y", False).verdict("z", None).html())
    words = "".join(page.words)
    assert all(word in words for word in ("✓ Holds", "✗ Does not hold", "? Not decided"))
    assert "✓ Holds" in Report("T").verdict("x", np.bool_(True)).html()


def test_a_caption_is_no_part_of_its_table():
    """A table may be wider than the page, or so narrow that its caption would be a column of single words."""
    text = Report("t").table(["a"], [[1]], caption="What the columns mean.").html()
    assert re.search(r'<figcaption class="above">What the columns mean.</figcaption>.*<div class="scroll"', text, re.S)
    assert "<caption>" not in text
    assert re.search(r"figcaption \{ max-width: \d+em", text)


def test_table_cells():
    rows = [["a", 1, 0.123456, None, True], ["b", 20_000_000, float("nan"), 2, np.bool_(False)]]
    text = Report("T").table(["arm", "steps", "return", "low", "ok"], rows, "Cells").html()
    cells = re.findall(r"<td( class=\"number\")?>(.*?)</td>", text)
    assert [c for _, c in cells] == ["a", "1", "0.1235", "–", "yes", "b", "20,000,000", "–", "2", "no"]
    assert [bool(n) for n, _ in cells[:5]] == [False, True, True, True, False]
    assert Page(Report("T").table(["a"], []).html()).tags["th"] == 1


def test_a_short_row_is_refused():
    with pytest.raises(ConfigError, match="row 1 has 1 cells for 2 headers"):
        Report("T").table(["a", "b"], [[1, 2], [1]])


def test_every_text_is_escaped(hostile):
    evil = hostile.task
    report = Report(evil, evil).heading(evil).paragraph(evil).verdict(evil, True).table([evil], [[evil]], evil)
    report.key_values({evil: evil}, evil).figure(interval_dots({"a": [1]}), evil).replay(hostile, evil)
    page = Page(report.html())
    assert page.tags["img"] == 0
    assert page.tags["script"] == 3  # the player, the film's data, its start
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "".join(page.words).count("window.hacked") >= 10  # shown as it was written


def test_refused_write(tmp_path):
    with pytest.raises(StorageError):
        Report("T").write(tmp_path)
