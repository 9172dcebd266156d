"""Lists, probes and the claim read a bounded part of tables that have grown: the statements are the service's own.

Each is caught on its way to Postgres and explained with ANALYZE, so what counts is what was read, not an estimate.
All of them, at five million messages: test_five_million.py.
"""

import pytest
from django.contrib import admin

from benchmarks import plan
from outbox import dead_letters
from outbox.choice import Choice
from tests.support import staff

from . import admin_pages, grown, reads


@pytest.fixture(scope="module", autouse=True)
def _grown_tables(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), grown.grown(messages=40_000, others=20_000):
        yield


@pytest.mark.django_db
@pytest.mark.xdist_group("plans")
def test_lists_probes_and_the_claim_read_a_bounded_part_of_big_tables(monkeypatch):
    """With bounds as small as these tables are, and pages of five rows (but for accounts)."""
    monkeypatch.setattr("outbox.read_only_admin.ReadOnlyAdmin.list_per_page", 5)
    monkeypatch.setattr("idempotency.admin.IdempotencyKeyAdmin.list_per_page", 5)
    monkeypatch.setattr("outbox.bell._send", lambda destination: True)
    monkeypatch.setattr("outbox.selectors.UNINDEXED_ROWS_MAX", 2_000)
    monkeypatch.setattr("outbox.read_only_admin.COUNTED_ROWS_MAX", 1_000)
    monkeypatch.setattr("idempotency.admin.COUNTED_ROWS_MAX", 1_000)
    for name in reads.QUICK:
        reads.assert_bounded(name)


@pytest.mark.django_db
@pytest.mark.xdist_group("plans")
def test_every_list_of_the_admin_stands_among_the_reads_with_its_search_and_each_of_its_filters():
    listed = {**admin_pages.LISTS, **admin_pages.SMALL}
    assert set(listed) == set(admin_pages.registered())

    root = staff.root()
    for page, model in admin_pages.registered().items():
        asked = {part.split("=")[0] for query in listed[page] for part in query.split("&")}
        shown = root.get(f"/admin/{page}/").context.get("cl")
        for offered in shown.filter_specs if shown else ():
            assert asked & set(offered.expected_parameters()), f"{page} is not read by {offered.title}"
        model_admin = admin.site.get_model_admin(model)
        assert "q" in asked or not model_admin.search_fields, f"{page} is not searched"
        assert model_admin.date_hierarchy is None, f"{page} has a date hierarchy, which reads whole tables"


@pytest.mark.django_db
@pytest.mark.xdist_group("plans")
@pytest.mark.parametrize("choice", [Choice(), Choice(error_fingerprint="0123456789ab"), Choice(type="grown.told.v1")])
def test_groups_of_dead_messages_are_counted_from_their_index_alone(choice):
    [(sql, params)] = plan.caught(lambda: dead_letters.groups(choice))

    scans = [
        node for _, node in plan.explain(sql, params).nodes() if node.get("Relation Name") == "outbox_outboxmessage"
    ]

    counted = [node for node in scans if node["Alias"] != "example"]
    assert [(node["Node Type"], node["Index Name"]) for node in counted] == [
        ("Index Only Scan", "outbox_dead_by_error")
    ]
    assert {node.get("Index Name") for node in scans if node not in counted} <= {"outbox_outboxmessage_pkey"}
