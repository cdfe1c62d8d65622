import re

from datetime import timedelta

import pytest

from tests.platforms import NOW
from thim.http.console.charts import (
    Bar,
    Lane,
    Part,
    Stretch,
    draw_bars,
    draw_timeline,
)


DAY = timedelta(days=1)
_SHAPE = re.compile(r'<svg class="chart (\w+)"[^>]* viewBox="0 0 (\d+) (\d+)"')
_BOX = re.compile(r'<rect [^>]*x="([\d.]+)" y="(\d+)" width="([\d.]+)"')


def split(drawn):
    """
    The drawings of a chart, by name: width, height, and its boxes.
    """
    found = {}
    for each in drawn.split("</svg>")[:-1]:
        (name, width, height) = _SHAPE.findall(each)[0]
        boxes = [tuple(map(float, box)) for box in _BOX.findall(each)]
        found[name] = (int(width), int(height), boxes)
    return found


@pytest.fixture
def bars():
    """
    Two bars, of two parts and of one.
    """
    return split(
        draw_bars(
            "Bars",
            [
                Bar("a", [Part("x", "good", 3), Part("y", "bad", 1)], "4"),
                Bar("b", [Part("x", "good", 2)], "2"),
            ],
        )
    )


class TestBars:
    def test_room(self, bars):
        """
        Each drawing has room for the longest bar, and for a note behind it.
        """
        widths = {
            name: width - max(left + long for left, _, long in boxes)
            for name, (width, _, boxes) in bars.items()
        }

        assert {"wide": 80.0, "narrow": 80.0} == widths

    def test_scale(self, bars):
        """
        What is half as much is half as long, on a telephone too.
        """
        for _, _, (most, _, half) in bars.values():
            assert half[2] == pytest.approx(most[2] * 2 / 3, abs=0.1)

    def test_label(self, bars):
        """
        On a telephone bars begin at the left, each below its label.
        """
        _, _, boxes = bars["narrow"]

        assert {0.0} == {boxes[0][0], boxes[2][0]}
        assert [19.0, 59.0] == [boxes[0][1], boxes[2][1]]


class TestTimeline:
    def test_inside(self):
        """
        All of the time is within the drawing, whatever its width.
        """
        lanes = [Lane("a", [Stretch("x", "good", NOW - DAY, None)])]
        drawn = draw_timeline("Time", lanes, NOW - DAY, NOW + DAY, NOW)

        for width, _, ((left, _, long),) in split(drawn).values():
            assert left + long == pytest.approx(width - 20)
