"""Heartbeats: who lives, and whether this process was asked to stop."""

import pytest
from django.db import connection

from outbox import heartbeat, telemetry
from outbox.models import Heartbeat


@pytest.mark.django_db
def test_a_process_is_one_row_however_often_it_beats(monkeypatch):
    monkeypatch.setenv("PROCESS_NAME", "worker-2")

    heartbeat.beat("worker")
    first = Heartbeat.objects.get().seen_at
    heartbeat.beat("worker")

    seen = Heartbeat.objects.get()
    assert seen.process.startswith("worker-2@")
    assert (seen.kind, seen.seen_at > first) == ("worker", True)


@pytest.mark.django_db
def test_the_silent_are_forgotten_after_a_day():
    heartbeat.beat("relay")
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO outbox_heartbeat VALUES ('old', 'relay', now() - interval '25 hours')")

    heartbeat.forget_silent()

    assert list(Heartbeat.objects.values_list("kind", flat=True)) == ["relay"]
    assert Heartbeat.objects.exclude(process="old").count() == 1


@pytest.mark.django_db
def test_the_age_of_each_kind_is_a_metric():
    heartbeat.beat("relay")

    ages = {
        sample.labels["kind"]: sample.value
        for metric in telemetry.collect()
        if metric.name == "heartbeat_age_seconds"
        for sample in metric.samples
    }
    assert set(ages) == {"relay"}
    assert ages["relay"] >= 0


def test_a_stop_ends_every_wait():
    heartbeat.stop()

    heartbeat.wait(60)

    assert heartbeat.stopping()
