"""The performance page shows what was measured, and nothing else."""

import json

import pytest

from benchmarks import page as written
from benchmarks.counts import KINDS, OTHER, kind_of
from benchmarks.criterion import Rounds, judge
from tests.docs.pages import page


def test_what_the_page_shows_is_what_the_kept_results_make():
    text = page("docs/performance.md").text

    assert written.render(text) == text


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
