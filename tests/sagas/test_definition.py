"""Definitions: versions side by side, data that is brought up to date, and what a deploy must still know."""

from uuid import uuid4

import pytest
from django.db import transaction

from outbox import routing
from outbox.models import OutboxMessage
from sagas import consumers, definition, lifecycle, selectors
from sagas.definition import Definition, Step
from sagas.exceptions import UnknownDefinition
from sagas.models import Saga
from sagas.outcomes import Done
from tests.support.drive import drive

pytestmark = pytest.mark.django_db


@pytest.fixture
def isolated(monkeypatch):
    monkeypatch.setattr(routing, "_inside", {})
    monkeypatch.setattr(definition, "_definitions", {})
    monkeypatch.setattr("outbox.bell._send", lambda destination: True)


@pytest.fixture
def ran(isolated):
    """(version, step, data) of every run."""
    return []


def register(ran, *names, version=1, **options):
    def acts(name):
        def action(runs):
            ran.extend((version, name, dict(run.data)) for run in runs)
            return {run.saga_id: Done() for run in runs}

        return action

    steps = [Step(name=name, action=acts(name)) for name in names]
    return consumers.register(
        Definition(name="trip", steps=steps, on_compensated=lambda ended: None, version=version, **options)
    )


def start(data=None):
    subject_id = uuid4()
    with transaction.atomic():
        lifecycle.start("trip", [(subject_id, data or {})])
    return Saga.objects.get(subject_id=subject_id)


class TestVersions:
    def test_f11_each_saga_finishes_under_the_version_it_began_with(self, ran):
        """F11: old and new side by side."""
        register(ran, "pack", "fly")
        old = start({"n": 1})
        register(ran, "pack", "drive", "fly", version=2)
        new = start({"n": 2})

        drive()

        assert [(version, name) for version, name, data in ran if data == {"n": 1}] == [(1, "pack"), (1, "fly")]
        assert [(version, name) for version, name, data in ran if data == {"n": 2}] == [
            (2, "pack"),
            (2, "drive"),
            (2, "fly"),
        ]
        old.refresh_from_db()
        new.refresh_from_db()
        assert (old.version, old.status, new.version, new.status) == (1, "completed", 2, "completed")

    def test_f11_code_without_the_version_leaves_its_sagas_alone(self, ran, monkeypatch):
        """F11: back to the old code: the new sagas wait for the new one."""
        register(ran, "pack")
        v1 = dict(routing._inside), dict(definition._definitions)
        register(ran, "pack", version=2)
        saga = start()
        monkeypatch.setattr(routing, "_inside", v1[0])
        monkeypatch.setattr(definition, "_definitions", v1[1])

        drive()

        assert ran == []
        message = OutboxMessage.objects.get()
        assert (message.destination, message.state, message.attempts) == ("trip.v2.pack", "open", 0)
        assert selectors.unknown_to_this_code() == [("trip", 2, "pack", 1)]
        assert saga.version == 2

    def test_a_step_that_a_live_saga_stands_at_must_stay_known(self, ran, monkeypatch):
        register(ran, "pack", "fly")
        start()
        assert selectors.unknown_to_this_code() == []
        monkeypatch.setattr(routing, "_inside", {})
        monkeypatch.setattr(definition, "_definitions", {})
        register(ran, "fly")

        assert selectors.unknown_to_this_code() == [("trip", 1, "pack", 1)]

    def test_names_that_nobody_knows_are_errors(self, ran):
        known = register(ran, "pack")

        with pytest.raises(UnknownDefinition):
            definition.find("trip", 7)
        with pytest.raises(UnknownDefinition):
            definition.latest("journey")
        with pytest.raises(UnknownDefinition):
            known.step("fly")
        assert definition.versions("trip") == [known]


class TestUpcasters:
    def test_data_of_an_older_shape_is_brought_up_to_date_on_read_only(self, ran):
        register(ran, "pack")
        saga = start({"name": "Ada Byron"})
        routing._inside.clear()
        upcasters = {
            1: lambda data: {"names": data["name"].split()},
            2: lambda data: data | {"count": len(data["names"])},
        }
        register(ran, "pack", data_version=3, upcasters=upcasters)

        drive()

        assert ran == [(1, "pack", {"names": ["Ada", "Byron"], "count": 2})]
        saga.refresh_from_db()
        assert (saga.data, saga.data_version) == ({"name": "Ada Byron"}, 1)


class TestStart:
    def test_subjects_that_have_a_saga_start_none(self, ran):
        register(ran, "pack")
        subjects = [(uuid4(), {}), (uuid4(), {})]
        with transaction.atomic():
            assert lifecycle.start("trip", subjects[:1]) == 1
            assert lifecycle.start("trip", subjects) == 1

        assert Saga.objects.count() == 2
        assert OutboxMessage.objects.count() == 2

    def test_many_start_with_one_insert_each(self, ran, django_assert_num_queries):
        register(ran, "pack")

        with transaction.atomic(), django_assert_num_queries(3):
            lifecycle.start("trip", [(uuid4(), {}) for _ in range(20)])
