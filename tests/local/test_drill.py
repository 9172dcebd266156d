"""The drill itself: whose database it takes, how it delivers, and a short real one."""

import json
import os
import shutil
import subprocess
import sys
import time

import psycopg
import pytest
from django.db import connection

from local.drill import mark
from local.drill.chaos import Chaos, Tally
from local.drill.schedule import Fault, Kind
from local.errors import LocalError
from local.folder import PROJECT_DIR
from local.unprivileged import home_for

HIDDEN = ("DATABASE_URL", "CELERY_BROKER_URL", "SECRET_KEY", "DEBUG", "LOG_LEVEL", "EMAIL_URL")


def drill(folder, *words, **environment):
    kept = {name: value for name, value in os.environ.items() if name not in HIDDEN}
    return subprocess.run(
        [sys.executable, "-m", "local.drill", *words],
        cwd=PROJECT_DIR,
        env={**kept, "ORDERS_LOCAL_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=1_200,
        check=False,
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "drill").mkdir()
    yield tmp_path
    shutil.rmtree(home_for(tmp_path / "drill"), ignore_errors=True)


@pytest.fixture
def somebodys_database(transactional_db):
    """A database with a table in it, on the tests' own server, not marked as anything."""
    server, name = os.environ["DATABASE_URL"], f"somebodys_{connection.settings_dict['NAME']}"
    url = f"{server.rpartition('/')[0]}/{name}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        admin.execute(f'CREATE DATABASE "{name}"')
        with psycopg.connect(url) as session:
            session.execute("CREATE TABLE precious (id int)")
        yield url
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def tables_of(url):
    with psycopg.connect(url) as session:
        return session.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()[0]


def test_a_database_that_is_not_marked_is_refused_with_a_sentence_and_left_alone(folder, somebodys_database):
    result = drill(folder, "--database-url", somebodys_database)

    assert result.returncode == 2
    assert "is not marked as a drill's own, and a drill deletes everything in it." in result.stderr
    assert "COMMENT ON DATABASE somebodys_" in result.stderr
    assert "Traceback" not in result.stderr
    assert tables_of(somebodys_database) == 1


def test_only_the_very_mark_opens_a_database(somebodys_database):
    with psycopg.connect(somebodys_database, autocommit=True) as session:
        session.execute(f"COMMENT ON DATABASE \"{session.info.dbname}\" IS 'our drill database'")
    with pytest.raises(mark.NotMarked):
        mark.empty(somebodys_database)
    assert tables_of(somebodys_database) == 1

    mark.put(somebodys_database)
    mark.empty(somebodys_database)
    assert tables_of(somebodys_database) == 0


def test_a_database_that_does_not_answer_is_told_without_its_password(folder):
    result = drill(folder, "--database-url", "postgres://nobody:secret@127.0.0.1:1/orders")

    assert result.returncode == 2
    assert "The Postgres that --database-url names cannot be used: " in result.stderr
    assert "secret" not in result.stderr
    assert "Traceback" not in result.stderr


def test_the_database_that_the_environment_names_is_not_the_drills(folder):
    """Only --database-url names one: a service's own settings, or `make up` in another shell, never do."""
    printed = drill(folder, "--plan", DATABASE_URL="postgres://nobody:secret@127.0.0.1:1/orders")

    assert printed.returncode == 0
    assert "Postgres killed and restarted" in printed.stdout


def run_chaos(chaos):
    chaos.begin(elapsed=0.0)
    deadline = time.monotonic() + 10
    while not chaos.is_over:
        assert time.monotonic() < deadline
        chaos.go_on()
    return Tally(chaos.told)


def faults(*kinds):
    return [Fault(at_seconds=0.0, kind=kind) for kind in kinds]


def test_what_raises_is_told_as_not_landed_and_the_rest_goes_on():
    def lands(told):
        told.landed = True
        yield 0.0

    def meets_another(told):
        raise LocalError("Postgres was away\nfor a while")
        yield 0.0

    chaos = Chaos(faults(Kind.CUT, Kind.WIPE), 0.0, {Kind.CUT: meets_another, Kind.WIPE: lands})
    tally = run_chaos(chaos)

    assert tally.delivered() == {"connections cut": 1, "broker wiped": 1}
    assert tally.landed() == {"broker wiped": 1}
    assert chaos.told[0].error == "Postgres was away"


def test_one_at_a_time_waits_for_the_one_before():
    log = []

    def twice(told):
        log.append(f"{told.fault.kind} begins")
        yield 0.0
        log.append(f"{told.fault.kind} ends")

    chaos = Chaos(faults(Kind.CUT, Kind.WIPE), 0.0, {Kind.CUT: twice, Kind.WIPE: twice}, one_at_a_time=True)
    run_chaos(chaos)

    assert log == ["connections cut begins", "connections cut ends", "broker wiped begins", "broker wiped ends"]


def test_the_clock_stands_still_while_the_service_has_no_breath():
    later = Fault(at_seconds=0.001, kind=Kind.CUT)
    chaos = Chaos([later], 5.0, {}, may_go_on=lambda: False)
    chaos.begin(elapsed=0.0)
    time.sleep(0.01)
    chaos.go_on()

    assert chaos.elapsed == 0.0
    assert not chaos.is_over


def test_what_is_given_up_gives_back_what_it_took():
    thawed = []

    def freezes(told):
        try:
            yield 60.0
        finally:
            thawed.append(told.fault.kind)

    chaos = Chaos(faults(Kind.FREEZE), 0.0, {Kind.FREEZE: freezes})
    chaos.begin(elapsed=0.0)
    chaos.go_on()
    chaos.end()

    assert thawed == [Kind.FREEZE]
    assert chaos.is_over


# `make proof` runs a longer one of its own.
@pytest.mark.nightly
@pytest.mark.xdist_group("processes")
def test_a_short_drill_holds_and_proves_it(folder):
    """I1–I14: thirty orders, every kind of fault; nothing lost, nothing charged twice, no violation."""
    result = drill(folder, "--seed", "4", "--orders", "30", "--minutes", "0.75", "--json")

    assert result.returncode == 0, result.stderr[-6_000:]
    told = json.loads(result.stdout)
    assert (told["held"], told["broken"], told["vacuous"]) == (True, [], [])
    assert told["answered"] == 30
    assert sum(told["orders"].values()) == 30
    assert all(told["counters"].values())
    assert all(fault["landed"] for fault in told["faults"])
