"""The live page in a real browser: it refreshes itself, keeps the keyboard's place, stops when nobody looks, says when
it is out of date, and asks nobody but the service."""

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from operators import symptoms, views
from outbox.models import Heartbeat, OutboxMessage
from tests.support import told
from tests.support.browser import new_browser

__all__ = ["new_browser"]

pytestmark = [pytest.mark.proof, pytest.mark.django_db(transaction=True)]

PASSWORD = "of-this-test-alone"
FETCHES = "performance.getEntriesByType('resource').filter(one => one.name.endsWith('/panels')).length"
TOLD = "document.getElementById('live-told').textContent"
# More than two refreshes, less than a test's patience.
A_WHILE = "new Promise(done => setTimeout(() => done(true), 6500))"


@pytest.fixture
def page(new_browser, live_server, monkeypatch, settings):
    """Somebody who signed in looks at the live page; all is well."""
    settings.SESSION_COOKIE_SECURE = settings.CSRF_COOKIE_SECURE = settings.SECURE_SSL_REDIRECT = False
    told.isolate(monkeypatch)
    told.consuming(told.Ledger())
    User.objects.create_superuser("root", password=PASSWORD)
    for kind in symptoms.KINDS:
        Heartbeat.objects.create(process=f"{kind}@one", kind=kind, seen_at=timezone.now())
    browser = new_browser()
    browser.open(f"{live_server.url}/admin/live/")
    browser.tell(f"id_username.value = 'root'; id_password.value = '{PASSWORD}'; document.forms[0].submit()")
    browser.until("document.getElementById('live') !== null && document.readyState === 'complete'")
    browser.origin = live_server.url
    return browser


def bury(text: str) -> None:
    told.tell(text)
    OutboxMessage.objects.filter(payload__text=text).update(state="dead", attempts=10, last_error="broken")


def test_what_happens_is_seen_without_a_reload_and_nothing_leaves_the_machine(page):
    page.tell("window.still = 'the same page'")
    assert "All is well" in page.tell("symptoms.innerText")
    assert page.tell("document.title") == "Live | Orders"

    bury("a")
    page.until("symptoms.innerText.includes('1 dead message for test.consumer')")

    assert page.tell("document.title") == "(1) Live | Orders"
    assert page.tell("window.still") == "the same page"
    page.tell("symptoms.querySelector('a').click()")
    page.until("location.search.includes('state__exact=dead')")
    page.until("document.querySelectorAll('#result_list tbody tr').length === 1")
    assert page.errors == []
    assert [one for one in page.addresses if not one.startswith((page.origin, "about:"))] == []


def test_a_panel_that_changes_keeps_the_keyboards_place(page):
    bury("a")
    page.until("document.querySelector('#failures td a') !== null")
    page.tell("document.querySelector('#failures td a').focus()")

    bury("b")
    page.until("document.querySelector('#failures td a').textContent === '2'")

    assert page.tell("document.activeElement === document.querySelector('#failures td a')")


def test_it_stops_while_nobody_looks_or_somebody_pauses_it(page):
    page.until(f"{FETCHES} > 0")
    page.tell(
        "Object.defineProperty(document, 'hidden', {get: () => window.away, configurable: true}); window.away = true"
    )
    page.tell("document.dispatchEvent(new Event('visibilitychange'))")
    page.until("document.hidden")
    page.tell("new Promise(done => setTimeout(() => done(true), 500))")
    before = page.tell(FETCHES)
    page.tell(A_WHILE)
    assert page.tell(FETCHES) == before

    page.tell("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    page.until(f"{FETCHES} > {before}")
    page.tell("document.getElementById('live-pause').click()")
    page.until(f"{TOLD}.startsWith('Paused')")
    page.tell("new Promise(done => setTimeout(() => done(true), 500))")
    before = page.tell(FETCHES)
    page.tell(A_WHILE)
    assert page.tell(FETCHES) == before
    assert page.tell("document.getElementById('live-pause').getAttribute('aria-pressed')") == "true"


def test_it_says_when_it_is_out_of_date_and_recovers(page, monkeypatch):
    def broken() -> None:
        raise RuntimeError("broken on purpose")

    with monkeypatch.context() as patched:
        patched.setattr(views.latest, "get", broken)
        page.until(f"{TOLD}.startsWith('Out of date')")
        assert page.tell("document.getElementById('live').classList.contains('stale')")

    page.until(f"{TOLD}.startsWith('Refreshes by itself')")
    assert not page.tell("document.getElementById('live').classList.contains('stale')")


def test_it_says_that_its_reader_is_signed_out(page):
    page.send("Network.clearBrowserCookies")

    page.until(f"{TOLD}.startsWith('Signed out')")
    assert page.tell("document.querySelector('#live-told a').getAttribute('href')") == "/admin/live/"


@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_is_wider_than_the_screen(page, width):
    page.send("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500)

    page.until("document.documentElement.scrollWidth <= innerWidth")


def test_without_scripts_it_is_a_page_of_one_moment(page):
    bury("a")
    views.latest.forget()
    page.send("Emulation.setScriptExecutionDisabled", value=True)
    page.reload()
    document = page.send("DOM.getDocument", depth=-1)["root"]["nodeId"]
    text = page.send("DOM.getOuterHTML", nodeId=document)["outerHTML"]

    assert "1 dead message for test.consumer" in text
    assert '<svg viewBox="0 0 600 200"' in text
