"""Every crash point × every fault that applies there, on real processes: the promise holds, and the books agree.

Run one with `pytest -m proof tests/crash_points -k local.effect`.
"""

import pytest

from .act import try_point
from .points import POINTS

pytestmark = pytest.mark.proof
CASES = [pytest.param(point, fault, id=f"{point.name}-{fault}") for point in POINTS for fault in point.faults]


@pytest.mark.parametrize(("point", "fault"), CASES)
def test_a_crash_at_any_point_breaks_no_promise(stage, point, fault):
    """I1–I14, F9: whatever fires wherever, every order ends as wanted, once, and every book says so."""
    try_point(stage, point, fault)
