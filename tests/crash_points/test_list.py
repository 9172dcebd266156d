"""The list of crash points is complete: the page that people read and the list that is tried say the same."""

import re

import pytest

from local.process_table import KINDS
from tests.armed.faults import FAULTS
from tests.armed.seam import Passage, destination, owner_of
from tests.docs.pages import page

from .point import WORLD
from .points import POINTS
from .scenes import SCENES

ROW = re.compile(r"^\| `([a-z]+\.[a-z0-9_]+)` \| ([a-z-]+) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)


def row_of(point):
    """How the page shows a point."""
    when, _, function = point.seam.place.partition(" ")
    function, _, times = function.partition(", ")
    place = f"{when} `{function}`{', ' + times if times else ''}"
    return (point.name, point.seam.process, place, ", ".join(point.faults), point.promise)


def test_the_page_shows_every_point_of_the_list_and_no_other():
    """A new point is an entry in the list and a row on the page; one of the two alone fails here."""
    assert ROW.findall(page("docs/crash-points.md").text) == [row_of(point) for point in POINTS]


def test_every_flow_has_its_points_under_a_heading_of_its_own():
    headings = re.findall(r"^### (\w+)", page("docs/crash-points.md").text, re.MULTILINE)

    assert [heading.lower() for heading in headings] == list(dict.fromkeys(point.flow for point in POINTS))


def test_no_two_points_have_one_name():
    assert len({point.name for point in POINTS}) == len(POINTS)


@pytest.mark.parametrize("point", [pytest.param(point, id=point.name) for point in POINTS])
def test_every_point_is_at_a_function_that_exists_in_a_process_that_exists(point):
    owner_of(point.seam.function)

    assert point.seam.process in KINDS
    assert set(point.faults) <= {*FAULTS, WORLD}
    assert point.scene in SCENES
    assert re.match(r"[IF]\d+", point.promise), "a promise begins with its number"


def test_every_fault_is_tried_somewhere():
    assert {fault for point in POINTS for fault in point.faults} == {*FAULTS, WORLD}


def test_a_claim_that_found_nothing_passes_no_point():
    """Non-vacuity: a point about messages does not fire where there are none."""
    concerns = destination("fulfil_order.reserve_stock")

    assert concerns(Passage(("fulfil_order.reserve_stock", 50), {}, None))
    assert not concerns(Passage(("fulfil_order.reserve_stock", 50), {}, []))
    assert not concerns(Passage(("fulfil_order.charge_payment", 50), {}, None))
