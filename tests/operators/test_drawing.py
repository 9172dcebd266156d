"""The chart's rectangles: in their columns, in proportion, none where nothing happened; and numbers in words."""

from datetime import UTC, datetime, timedelta

import pytest

from operators import wording
from operators.drawing import HALF, HEIGHT, WIDTH, chart
from operators.templatetags.live import breakable
from orders.live import MINUTES, Minute, Pace

BEGAN = datetime(2026, 1, 1, 20, 0, tzinfo=UTC)


def pace(*counts: dict[str, int], is_whole: bool = True) -> Pace:
    minutes = [Minute(began_at=BEGAN + timedelta(minutes=number), **one) for number, one in enumerate(counts)]
    return Pace(minutes=tuple(minutes), is_whole=is_whole)


def test_an_empty_hour_has_columns_and_no_bars():
    drawn = chart(pace(*[{}] * MINUTES))

    assert len(drawn.columns) == MINUTES
    assert [column.bars for column in drawn.columns if column.bars] == []
    assert drawn.sentence == "In the last 60 minutes 0 orders were placed; 0 confirmed, 0 rejected, 0 cancelled."


def test_placed_stands_on_the_axis_and_ends_hang_from_it_in_proportion():
    drawn = chart(pace(*[{}] * (MINUTES - 1), {"placed": 10, "confirmed": 5, "rejected": 3, "cancelled": 2}))

    placed, confirmed, rejected, cancelled = drawn.columns[-1].bars
    assert (placed.y + placed.height, placed.height) == (HALF, HALF - 2)
    assert (confirmed.y, confirmed.height) == (HALF, placed.height // 2)
    assert rejected.y == confirmed.y + confirmed.height
    assert cancelled.y == rejected.y + rejected.height
    assert cancelled.y + cancelled.height <= HEIGHT
    assert drawn.peak == 10


def test_one_among_thousands_is_seen():
    drawn = chart(pace(*[{"placed": 9_000}] * (MINUTES - 1), {"placed": 1}))

    assert drawn.columns[-1].bars[0].height == 2


def test_fewer_minutes_stand_at_the_right():
    drawn = chart(pace({"placed": 1}, {"placed": 1}, is_whole=False))

    assert [column.x for column in drawn.columns] == [WIDTH - 20, WIDTH - 10]


def test_times_stand_evenly_and_end_with_the_last_minute():
    drawn = chart(pace(*[{}] * MINUTES))

    assert drawn.times == ("19:59", "20:09", "20:19", "20:29", "20:39", "20:49", "20:59")
    assert drawn.columns[0].title == "20:00: 0 placed; 0 confirmed, 0 rejected, 0 cancelled"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown"),
        (-0.1, "0 ms"),
        (0.034, "34 ms"),
        (4.24, "4.2 s"),
        (34, "34 s"),
        (119, "119 s"),
        (150, "2 min"),
        (7_300, "2 h"),
        (200_000, "2 d"),
    ],
)
def test_a_duration_has_one_unit(seconds, text):
    assert wording.duration(seconds) == text


def test_a_name_may_break_at_its_points_and_underscores_and_is_escaped():
    assert breakable("fulfil_order.undo") == "fulfil_<wbr>order.<wbr>undo<wbr>"
    assert breakable("<b>") == "&lt;b&gt;<wbr>"


@pytest.mark.parametrize(
    ("number", "text"), [(None, "none yet"), (0, "0"), (1_204, "1,204"), (9_999, "9,999"), (10_000, "10,000+")]
)
def test_a_count_that_reached_its_bound_says_at_least(number, text):
    assert wording.count(number) == text
