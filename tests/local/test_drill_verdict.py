"""The drill's verdict: each broken promise fails it, and so does each counter that stood still."""

from dataclasses import replace

import pytest

from local.drill import table
from local.drill.accounts import Accounts
from local.drill.crowd import CrowdLog
from local.drill.schedule import plan
from local.drill.verdict import BROKEN, HELD, Evidence, FaultCount, RecoveryTime, judge

COUNTERS = {"duplicates suppressed": 4, "takeovers": 2, "stale epochs refused": 1, "messages lost by the broker": 9}
GOOD = Evidence(
    wanted=30,
    answered=30,
    orders={"confirmed": 20, "rejected": 8, "cancelled": 2},
    faults=[
        FaultCount(label="killed: worker", planned=3, delivered=3, landed=3),
        FaultCount(label="broker wiped", planned=2, delivered=2, landed=1),
    ],
    counters=COUNTERS,
    recoveries=[
        RecoveryTime(what="after a wiped broker", bound_seconds=10, times=2, typical=1.0, longest=1.5),
    ],
)
LISTS = (
    *("lost", "unclaimed", "doubled", "torn", "unanswered", "unexpected"),
    *("double_charges", "breaches", "violations"),
)


@pytest.fixture
def log(tmp_path):
    """The customers' log, written and read."""
    path = tmp_path / "answers.jsonl"
    with path.open("a") as file:
        yield CrowdLog(file), Accounts(path)


def test_a_drill_in_which_all_is_well_holds():
    verdict = judge(GOOD)

    assert (verdict.broken, verdict.vacuous, verdict.status) == ([], [], HELD)


@pytest.mark.parametrize("name", LISTS)
def test_one_line_where_none_may_be_breaks_it(name):
    verdict = judge(replace(GOOD, **{name: ["order 4711"]}))

    assert verdict.status == BROKEN
    [sentence] = verdict.broken
    assert "order 4711" in sentence
    assert verdict.vacuous == []


def test_rows_that_never_came_to_rest_break_it():
    verdict = judge(replace(GOOD, not_at_rest={"orders pending": 3}))

    assert verdict.broken == ["the service did not come to rest (I11): 3 orders pending"]


def test_work_that_never_went_on_breaks_it_and_work_that_was_slow_does_not():
    slow = replace(GOOD.recoveries[0], longest=600.0)
    never = replace(GOOD.recoveries[0], never=1)

    assert judge(replace(GOOD, recoveries=[slow])).status == HELD
    assert judge(replace(GOOD, recoveries=[never])).status == BROKEN


@pytest.mark.parametrize("name", COUNTERS)
def test_each_counter_that_stood_still_makes_it_vacuous(name):
    verdict = judge(replace(GOOD, counters=COUNTERS | {name: 0}))

    assert verdict.status == BROKEN
    assert verdict.broken == []
    assert verdict.vacuous == [f"never moved: {name}"]


def test_faults_of_a_kind_that_never_landed_make_it_vacuous():
    none = replace(GOOD.faults[1], landed=0)

    assert judge(replace(GOOD, faults=[GOOD.faults[0], none])).vacuous == ["planned and never landed: broker wiped"]


def test_kills_that_never_landed_make_it_vacuous():
    assert "no kill landed" in judge(replace(GOOD, faults=[GOOD.faults[1]])).vacuous


@pytest.mark.parametrize("status", ["confirmed", "rejected", "cancelled"])
def test_an_end_that_no_order_came_to_makes_it_vacuous(status):
    orders = {**GOOD.orders, status: 0}

    assert judge(replace(GOOD, orders=orders)).vacuous == [f"no order was {status}"]


def test_the_log_tells_two_answers_and_two_orders_of_one_key(log):
    writer, accounts = log
    writer.write("answered", key="same", order="a", body='{"id": "a"}')
    writer.write("answered", key="same", order="a", body='{"id": "a"}')
    writer.write("answered", key="torn", order="b", body='{"id": "b"}')
    writer.write("answered", key="torn", order="b", body='{"id":"b"}')
    writer.write("answered", key="doubled", order="c", body='{"id": "c"}')
    writer.write("answered", key="doubled", order="d", body='{"id": "c"}')

    accounts.read()

    assert accounts.placed == 3
    assert accounts.torn == ["torn"]
    assert accounts.doubled == ["doubled"]
    assert accounts.order_ids == {"a", "b", "c", "d"}


def test_the_log_is_read_on_from_where_the_last_look_ended(log):
    writer, accounts = log
    writer.write("retry", key="k", status=503)
    accounts.read()
    with accounts.path.open("a") as file:
        file.write('{"at": 1, "what": "ret')
    accounts.read()
    with accounts.path.open("a") as file:
        file.write('ry", "key": "k", "status": 409}\n')
    accounts.read()

    assert accounts.retries == 2
    assert accounts.conflicts == {409: 1}


def test_an_answer_that_no_client_should_get_and_a_client_who_gave_up_are_told(log):
    writer, accounts = log
    writer.write("unexpected", key="k", status=500, body="a page")
    writer.write("gave up", key="other")
    accounts.read()

    assert accounts.unexpected == ["k: 500 a page"]
    assert accounts.gave_up == ["other"]


def test_the_table_names_what_is_broken_and_what_stood_still():
    evidence = replace(GOOD, lost=["order 4711"], counters=COUNTERS | {"takeovers": 0})

    text = table.as_text(evidence, judge(evidence))

    assert "BROKEN: 1 orders were answered for and are gone (I1): order 4711" in text
    assert "PROVED NOTHING: never moved: takeovers" in text
    assert text.endswith("The drill found a broken promise.")
    assert table.as_text(GOOD, judge(GOOD)).endswith("Every promise held.")


def test_the_json_says_the_same():
    schedule = plan(seed=1, seconds=60, broker="redis")

    text = table.as_json(schedule, GOOD, judge(GOOD), notes={"backlog": {"messages": 5}})

    assert '"held": true' in text
    assert '"takeovers": 2' in text
    assert '"messages": 5' in text
