"""A breaker by hand from the live page: asked first, with a reason, by whoever may; a double click acts once."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from operators.snapshot import latest
from outbox.models import OperatorAct
from providers import breaker, selectors
from providers.models import Breaker
from tests.support import staff

pytestmark = pytest.mark.django_db

VIEW, OPERATE = "outbox.view_outboxmessage", "providers.operate_breaker"


@pytest.fixture
def client() -> Client:
    return staff.signed_in(staff.operator(VIEW, OPERATE))


def address(verb: str, provider: str = "shipping") -> str:
    return f"/admin/live/breakers/{provider}/{verb}"


def answers(provider: str = "shipping", **changes: object) -> dict[str, object]:
    """What a person sends who has just seen the question."""
    return {"epoch": breaker.read(provider).epoch, "reason": "they told us", "seconds": 60, **changes}


def opened(**changes: object) -> Breaker:
    later = timezone.now() + timedelta(minutes=5)
    fields = {"state": "open", "opened_at": timezone.now(), "retry_at": later, "epoch": 7, "reason": "5 failures"}
    return Breaker.objects.create(provider="shipping", **{**fields, **changes})


def acts() -> list[tuple[str, str, str]]:
    return list(OperatorAct.objects.order_by("id").values_list("verb", "target_id", "reason"))


def state() -> str:
    return selectors.breaker_states()["shipping"]


def offered(client: Client) -> list[str]:
    page = client.get("/admin/live/").content.decode()
    return [verb for verb in ("open", "try", "close") if f'href="{address(verb)}"' in page]


class TestQuestion:
    def test_it_explains_asks_why_and_changes_nothing(self, client):
        page = client.get(address("open")).content.decode()

        assert "one trial call decides" in page.replace("\n", " ")
        assert all(f'name="{name}"' in page for name in ("reason", "seconds", "epoch", "csrfmiddlewaretoken"))
        assert (state(), acts()) == ("closed", [])

    @pytest.mark.parametrize("changes", [{"reason": " "}, {"seconds": 0}, {"seconds": "x"}, {"epoch": ""}])
    def test_without_a_whole_answer_it_asks_again(self, client, changes):
        answer = client.post(address("open"), answers(**changes))

        assert answer.status_code == 200
        assert (state(), acts()) == ("closed", [])

    @pytest.mark.parametrize("path", [address("open", "shiping"), address("explode")])
    def test_what_does_not_exist_is_not_found(self, client, path):
        assert client.get(path).status_code == 404

    @pytest.mark.parametrize("permissions", [[VIEW], [OPERATE]])
    def test_whoever_may_not_does_not(self, permissions):
        other = staff.signed_in(staff.operator(*permissions))
        assert other.get(address("open")).status_code == 403
        assert other.post(address("open"), answers()).status_code == 403
        assert (state(), acts()) == ("closed", [])

    def test_a_form_of_another_site_does_nothing(self):
        strict = staff.signed_in(staff.operator(VIEW, OPERATE), enforce_csrf_checks=True)

        assert strict.post(address("open"), answers()).status_code == 403
        assert state() == "closed"


class TestActs:
    def test_open_close_and_back_each_with_an_act_of_that_person(self, client):
        assert client.post(address("open"), answers()).headers["Location"] == "/admin/live/"
        assert state() == "open"
        client.post(address("close"), answers(reason="they are back"))

        assert state() == "closed"
        assert acts() == [("open", "shipping", "they told us"), ("close", "shipping", "they are back")]
        assert set(OperatorAct.objects.values_list("who__username", flat=True)) != {None}
        assert OperatorAct.objects.get(verb="open").detail == {"seconds": 60.0}

    def test_trying_lets_the_next_call_be_the_trial(self, client):
        opened()
        assert breaker.read("shipping").paused_until(elapsed=timedelta(0)) is not None

        client.post(address("try"), answers())

        assert (state(), acts()) == ("open", [("try", "shipping", "they told us")])
        assert breaker.read("shipping").paused_until(elapsed=timedelta(0)) is None

    @pytest.mark.parametrize("verb", ["open", "try", "close"])
    def test_a_double_click_acts_once_and_the_second_is_told(self, client, verb):
        opened()
        seen = answers()

        client.post(address(verb), seen)
        after = Breaker.objects.get()
        second = client.post(address(verb), seen, follow=True)

        assert "has moved since you looked" in second.content.decode()
        assert Breaker.objects.get().epoch == after.epoch
        assert len(acts()) == 1

    def test_one_that_closed_by_itself_meanwhile_is_left_alone(self, client):
        row = opened()
        seen = answers()
        Breaker.objects.update(state="closed", retry_at=None, opened_at=None, epoch=row.epoch + 1)

        client.post(address("open"), seen)

        assert (state(), acts()) == ("closed", [])

    def test_there_is_nothing_to_try_while_it_is_closed(self, client):
        client.post(address("try"), answers())

        assert (state(), acts()) == ("closed", [])

    def test_the_page_shows_it_at_once(self, client):
        assert "calls go through" in client.get("/admin/live/").content.decode()
        page = client.post(address("open"), answers(), follow=True).content.decode()

        assert "tried again in" in page
        assert "The breaker of shipping is open: they told us" in page


class TestOffers:
    def test_only_what_can_be_done_is_offered(self, client):
        assert offered(client) == ["open"]
        opened()
        latest.forget()
        assert offered(client) == ["try", "close"]

    def test_nothing_is_offered_to_whoever_may_not(self):
        opened()
        assert offered(staff.signed_in(staff.operator(VIEW))) == []
