"""The performance page shows what was measured, and nothing else."""

import json

import pytest

from benchmarks import page as written
from benchmarks import sizing
from benchmarks.counts import KINDS, OTHER, kind_of
from benchmarks.criterion import Rounds, judge
from tests.docs.pages import page


@pytest.mark.parametrize("name", written.PAGES)
def test_what_a_page_shows_is_what_the_kept_results_make(name):
    text = page(name).text

    assert written.render(text) == text


def test_every_part_stands_on_one_of_the_pages():
    texts = [page(name).text for name in written.PAGES]

    marks = {part: sum(f"<!-- {part}: written by `make bench` -->" in text for text in texts) for part in written.PARTS}
    assert marks == dict.fromkeys(written.PARTS, 1)


def test_what_a_rate_needs_is_calculated_from_what_an_order_was_measured_to_ask():
    rows = sizing.table(
        {
            "whole": [{"wal_kb": 30}],
            "by_process": [{"process": "web", "cpu_ms": 6}, {"process": "beat", "cpu_ms": 1}],
            "disk": [{"what": "order, money, stock, parcel", "disk_kb": 5}, {"what": "saga", "disk_kb": 10}],
        }
    )

    assert {row["what"]: row["1,000 orders/s"] for row in rows} == {
        "web: cores": "10",
        "call slots for each provider, at 0.3 s a call": "500",
        "WAL, MB/s": "30",
        "disk of unfinished and kept messages and sagas, GB a day": "864",
        "disk that stays, GB a day": "432",
    }


def test_every_kept_figure_has_its_row(tmp_path, monkeypatch):
    monkeypatch.setattr(written, "RESULTS", tmp_path)
    assert written.table() == written.NOTHING
    counted = judge("round trips", Rounds(unit="per order", ours=[1.4, 1.5, 1.6]), at_most=2)
    by_stage = [{"stage": "reserve", "round_trips": 0.3, "wal_kb": 2.1}]
    kept = {"target": "p9", "measured_at": "2026-11-27T12:00", "machine": "2 cores", "versions": {"python": "3.11"}}
    tables = {"criteria": [counted.as_json()], "tables": {"by_stage": by_stage}}
    (tmp_path / "p9.json").write_text(json.dumps(kept | tables), encoding="utf-8")

    assert "| P9 | round trips | 1.5 per order |  | **1.5** (1.4–1.6) | ≤ 2 | yes |  |" in written.table()
    assert "| stage | round trips | WAL, kB |\n| --- | ---: | ---: |\n| reserve | 0.3 | 2.1 |" in written.counts()


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("BEGIN", "begin, commit"),
        ('SELECT "payments_payment"."id" FROM "payments_payment"', "payments"),
        ("INSERT INTO outbox_outboxmessage (key)\nSELECT $1", "publish"),
        ("SELECT 1 FROM nobody_knows_it", OTHER),
    ],
)
def test_a_statement_is_counted_where_it_belongs_or_named_as_other(query, kind):
    assert kind_of(query) == kind
    assert OTHER not in KINDS
