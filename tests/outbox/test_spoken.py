"""A span of time is said in its two largest units."""

from datetime import timedelta

import pytest

from outbox.spoken import spoken


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0 ms"), (0, "0 ms"), (0.0004, "0 ms"), (0.1404, "140 ms"), (0.9999, "1 s"), (2.44, "2.4 s"), (3, "3 s"),
        (9.96, "10 s"), (59.6, "1 min"), (310, "5 min 10 s"), (3_600, "1 h"), (3_601, "1 h"), (100_800, "1 d 4 h"),
        (8_640_000, "100 d"),
    ],
)  # fmt: skip
def test_a_span_of_time_is_said_in_two_units(seconds: float, said: str):
    assert spoken(timedelta(seconds=seconds)) == said
