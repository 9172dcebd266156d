"""A night on call, as docs/operations.md tells it: the same steps in the same order, in a real browser, as an operator.

The carrier fails every call; orders wait past their deadline; somebody who may no more than an operator sees it on the
live page, finds the orders, reads why, and puts all of them right at once. ON_CALL_PICTURES names a folder to leave
pictures of the pages in: those of the README were taken so.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.browser import Browser, new_browser
from tests.support.made_up import MadeUp, make_up

__all__ = ["make_up", "new_browser"]

pytestmark = [pytest.mark.proof, pytest.mark.xdist_group("processes")]

ORDERS = 24
# Past it an order waits for a person: 72 s, where production has a day.
DEADLINE_HOURS = "0.02"
DEADLINE_SECONDS = 72
# For what takes a moment on a quiet machine.
PATIENCE_SECONDS = 120.0
DESK, PHONE = 1280, 360
REASON = "the carrier says that it is back"
# What is put into the pages' scripts.
ROWS = "document.querySelectorAll('#result_list tbody tr').length"
# The form as a first click sends it; the browser itself would cancel that one for the second.
SEND = """(() => {
    const form = document.querySelector("input[type=submit].default").form;
    const body = new URLSearchParams(new FormData(form));
    fetch(form.getAttribute("action") || location.href, {method: "POST", body, keepalive: true}).catch(() => {});
    return true;
})()"""
CLOSE = "#providers a[aria-label='Close the breaker of shipping']"
WAIT_FOR_A_PERSON = f"{ORDERS} sagas wait for a person"


@pytest.fixture
def service(make_up: Callable[..., MadeUp]) -> MadeUp:
    return make_up(SAGA_DEADLINE_HOURS=DEADLINE_HOURS)


@pytest.fixture
def operator(service: MadeUp, new_browser: Callable[[], Browser]) -> Browser:
    """Signed in as a member of the group operator, looking at the live page."""
    browser = new_browser()
    browser.screen(width=DESK)
    browser.open(f"{service.base_url}/admin/live/")
    browser.fill("#id_username", service.run["operator"]["username"])
    browser.fill("#id_password", service.run["operator"]["password"])
    browser.follow("input[type=submit]")
    browser.until("document.getElementById('live') !== null")
    return browser


def test_a_broken_carrier_is_seen_found_understood_put_right_and_watched_to_the_end(
    service: MadeUp, operator: Browser
) -> None:
    """I4, I11, F12, F14: no order is lost, and each is helped on once, whoever clicks how often."""
    break_the_carrier(service)
    see_it_on_the_live_page(operator)
    find_the_orders_and_read_why(operator)
    mend_the_carrier(service)
    close_the_breaker(operator)
    resume_all_of_them(operator)
    watch_it_drain(operator)

    done = acts(service)
    assert done.pop(("demo-operator", "close", "breaker"), 0) <= 1
    assert done == {("demo-operator", "resume", "saga"): ORDERS}
    # `make up` placed one that is confirmed and one that no carrier takes.
    assert ends(service) == {"confirmed": ORDERS + 1, "rejected": 1}
    judged = service.manage("audit", "--at-rest")
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert operator.errors == []
    assert [one for one in operator.addresses if not one.startswith((service.base_url, "about:", "data:"))] == []


def break_the_carrier(service: MadeUp) -> None:
    told = service.manage("sandbox", "mood", "shipping", "down")
    assert told.returncode == 0, told.stderr
    for _ in range(ORDERS):
        service.place("WIDGET")


def see_it_on_the_live_page(page: Browser) -> None:
    """Step 1: the page says what needs a look, and what a person must do comes first."""
    page.until("symptoms.innerText.includes('create_shipment is paused: breaker open')", seconds=PATIENCE_SECONDS)
    page.until(f"symptoms.innerText.includes('{WAIT_FOR_A_PERSON}')", seconds=DEADLINE_SECONDS + PATIENCE_SECONDS)
    first, *others = page.tell("[...document.querySelectorAll('#symptoms a')].map(link => link.textContent)")
    assert first == WAIT_FOR_A_PERSON
    assert [one for one in others if one.startswith("The breaker of shipping is ")]
    assert page.tell(f"sagas.querySelector('a[href*=\"step=create_shipment\"]').textContent === '{ORDERS}'")
    look(page, "live-in-trouble")


def find_the_orders_and_read_why(page: Browser) -> None:
    """Steps 2 and 3: from the symptom to the rows, from a row to its story, from there to what can be done."""
    page.follow("#symptoms li.bad a")
    assert page.tell(ROWS) == ORDERS
    assert "not finished by the saga's deadline" in page.text()
    look(page, "stuck-orders")

    page.follow("#result_list tbody tr:last-child td.field-subject a")
    page.follow(".object-tools a[href$='/timeline/']")
    text = page.text()
    assert "waits for a person" in text
    assert "unavailable, and says when to come back" in text
    assert "captured" in text
    look(page, "order-timeline")

    page.follow(".timeline-next a[href*='/sagas/saga/']")
    assert (
        "not finished by the saga's deadline (could not be asked: unavailable, and says when to come back)"
        in page.text()
    )
    assert page.tell("[...document.querySelectorAll('.saga-verbs dt')].map(verb => verb.innerText)") == [
        *("Retry", "Resume helps", "Compensate", "Cancel"),
    ]
    look(page, "saga")


def mend_the_carrier(service: MadeUp) -> None:
    """Step 4."""
    told = service.manage("sandbox", "mood", "shipping", "ok")
    assert told.returncode == 0, told.stderr


def close_the_breaker(page: Browser) -> None:
    """Step 5; a trial call may be quicker, and nothing is left to close."""
    page.follow("#user-tools a[href$='/admin/live/']")
    # By its address, for the page takes the link away when a trial call was quicker.
    question = page.tell(f"(document.querySelector({json.dumps(CLOSE)}) || {{}}).href || ''")
    if question:
        page.open(question)
        answer(page, leads_to="document.getElementById('live') !== null")
    page.until(f"document.querySelector({json.dumps(CLOSE)}) === null")


def resume_all_of_them(page: Browser) -> None:
    """Step 6: the group, with one reason."""
    page.follow("#symptoms li.bad a")
    page.click("#action-toggle")
    page.tell("document.querySelector('select[name=action]').value = 'resume'")
    page.follow(".actions button[type=submit]")
    assert "with a new deadline" in page.text()
    look(page, "resume")
    answer(page, leads_to="document.querySelector('#changelist') !== null")


def watch_it_drain(page: Browser) -> None:
    """Step 7: it refreshes itself, and says when nothing needs a look any more."""
    page.follow("#user-tools a[href$='/admin/live/']")
    page.tell("window.still = 'the same page'")
    look(page, "draining")
    page.until("symptoms.innerText.includes('All is well')", seconds=PATIENCE_SECONDS)
    page.until("vitals.innerText.includes('0 under way')", seconds=PATIENCE_SECONDS)
    assert page.tell("window.still") == "the same page"
    look(page, "all-is-well")


def answer(page: Browser, *, leads_to: str) -> None:
    """Says why; the form goes out, and is clicked on twice while its answer is on its way."""
    page.fill("#id_reason", REASON)
    assert page.tell(SEND)
    page.click("input[type=submit].default", times=2)
    page.until(f"document.readyState === 'complete' && {leads_to}")


def look(page: Browser, name: str) -> None:
    """Nothing is wider than the window: in light, in dark, on a phone."""
    for width, dark in ((DESK, True), (PHONE, False), (DESK, False)):
        page.screen(width=width, dark=dark)
        page.until("document.documentElement.scrollWidth <= innerWidth")
        take_picture(page, f"{name}-{width}{'-dark' if dark else ''}")


def take_picture(page: Browser, name: str) -> None:
    if folder := os.environ.get("ON_CALL_PICTURES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.photograph(Path(folder) / f"{name}.png")


def acts(service: MadeUp) -> dict[tuple[str, str, str], int]:
    """Who did which verb on what, and how often."""
    done = service.rows(
        "SELECT who.username, act.verb, act.target_type, count(*) FROM outbox_operatoract act"
        " LEFT JOIN auth_user who ON who.id = act.who_id GROUP BY 1, 2, 3"
    )
    return {(who, verb, target): count for who, verb, target, count in done}


def ends(service: MadeUp) -> dict[str, int]:
    return dict(service.rows("SELECT status, count(*) FROM orders_order GROUP BY 1"))
