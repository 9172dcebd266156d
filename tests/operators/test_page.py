"""The live page: who sees it, what its frame holds, how many statements it takes, and what a panel that fails does."""

import re
from contextlib import contextmanager
from html.parser import HTMLParser
from uuid import uuid4

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.db import connection
from django.test.utils import CaptureQueriesContext

from operators import snapshot
from tests.support import staff, told

pytestmark = pytest.mark.django_db

VIEW = "outbox.view_outboxmessage"
PANELS = {
    "symptoms", "vitals", "orders", "waiting", "failures", "sagas", "steps", "providers", "processes", "broker",
    "intake", "audit",
}  # fmt: skip
STATEMENTS_MAX = 12
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-", re.IGNORECASE)


class Parts(HTMLParser):
    """Every tag with its attributes, and the text that people read."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    @property
    def panels(self) -> set[str | None]:
        return {attrs.get("id") for _, attrs in self.tags if "data-panel" in attrs}


def page_of(client, path="/admin/live/") -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


@contextmanager
def reads():
    """The statements that read something, besides who asks."""
    found: list[str] = []
    with CaptureQueriesContext(
        connection,
    ) as captured:
        yield found
    others = ("SAVEPOINT", "RELEASE", "ROLLBACK", "SELECT set_config", "BEGIN", "COMMIT")
    found += [
        one["sql"]
        for one in captured.captured_queries
        if not one["sql"].startswith(others) and "django_session" not in one["sql"] and "auth_" not in one["sql"]
    ]


class TestWhoSeesIt:
    def test_staff_who_may_view_messages_see_the_page_and_its_panels(self):
        client = staff.signed_in(staff.operator(VIEW))

        assert Parts(page_of(client)).panels == PANELS
        assert Parts(page_of(client, "/admin/live/panels")).panels == PANELS

    @pytest.mark.parametrize("path", ["/admin/live/", "/admin/live/panels", "/admin/live/breakers/payments/open"])
    def test_staff_without_the_permission_see_nothing(self, path):
        assert staff.signed_in(staff.operator("sagas.view_saga")).get(path).status_code == 403

    @pytest.mark.parametrize("path", ["/admin/live/", "/admin/live/panels"])
    def test_a_stranger_is_asked_to_sign_in(self, client, path):
        answer = client.get(path)

        assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (302, "/admin/login/")

    def test_the_page_is_only_read(self):
        assert staff.root().post("/admin/live/").status_code == 405

    def test_the_admins_index_and_header_lead_to_it_for_those_who_may_see_it(self):
        link = '<a href="/admin/live/">'
        assert page_of(staff.signed_in(staff.operator(VIEW)), "/admin/").count(link) == 2
        assert link not in page_of(staff.signed_in(staff.operator("sagas.view_saga")), "/admin/")


class TestWhatItHolds:
    def test_nothing_comes_from_outside_and_nothing_is_written_into_the_page(self):
        """A Content-Security-Policy of default-src 'self' breaks nothing of ours."""
        found = Parts(page_of(staff.root()))

        addresses = [attrs.get("src") or attrs["href"] for tag, attrs in found.tags if tag in ("script", "link")]
        assert len(addresses) >= 4
        assert [address for address in addresses if not (address or "").startswith(settings.STATIC_URL)] == []
        inline = [
            (tag, attrs) for tag, attrs in found.tags if "style" in attrs or any(n.startswith("on") for n in attrs)
        ]
        assert inline == []
        assert [attrs for tag, attrs in found.tags if tag == "script" and "src" not in attrs] == []
        assert all(finders.find(f"operators/live.{kind}") for kind in ("css", "js"))

    def test_it_is_a_whole_page_without_its_script(self):
        page = page_of(staff.root())

        assert page.index('data-panel aria-labelledby="orders-title"') < page.index('id="audit"')
        assert "<noscript>" in page

    def test_no_answer_is_kept_by_a_browser_or_a_proxy(self):
        assert "no-store" in staff.root().get("/admin/live/panels").headers["Cache-Control"]

    def test_no_id_stands_in_it_but_in_links(self, monkeypatch):
        told.isolate(monkeypatch)
        told.consuming(told.Ledger())
        identity = uuid4()
        told.tell("a")
        told.OutboxMessage.objects.update(state="dead", last_error=f"no such order: {identity} of ann@example.org")

        text = Parts(page_of(staff.root())).text

        assert "no such order: … of …" in text
        assert not UUID.search(text)
        assert "ann@" not in text


class TestWhatItCosts:
    def test_the_whole_page_takes_few_statements_however_many_look(self, monkeypatch):
        client = staff.root()
        with reads() as found:
            page_of(client)
            page_of(client, "/admin/live/panels")

        assert 8 <= len(found) <= STATEMENTS_MAX, found

    def test_a_figure_that_takes_too_long_costs_its_own_panel(self, monkeypatch):
        def sleep() -> None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(5)")

        monkeypatch.setattr(snapshot, "STATEMENT_MILLISECONDS", 20)
        monkeypatch.setattr(snapshot, "READS", {**snapshot.READS, "waiting": sleep})

        page = page_of(staff.root())

        assert "No answer within 20 ms." in page
        assert "The figures of waiting are missing" in page
        assert "Nothing is dead" in page
        assert Parts(page).panels == PANELS

    def test_a_figure_that_breaks_costs_its_own_panel(self, monkeypatch):
        monkeypatch.setattr(snapshot, "READS", {**snapshot.READS, "orders": lambda: 1 / 0})

        page = page_of(staff.root())

        assert "Could not be read; the log says why." in page
        assert "No step was run within the last hour." in page

    def test_what_is_left_when_the_time_is_up_is_left_out(self, monkeypatch):
        monkeypatch.setattr(snapshot, "PAGE_SECONDS", -1)
        with reads() as found:
            page = page_of(staff.root())

        assert found == []
        assert page.count("Left out: the figures before it took too long.") == len(snapshot.READS)
