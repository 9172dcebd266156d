"""The drill's schedule and its customers: one seed, one list, and in every list each kind of fault and habit."""

import subprocess
import sys
from argparse import ArgumentParser
from collections import Counter

import pytest

from local.drill.options import add_arguments, chosen
from local.drill.orders import WANTED, Habit, wishes
from local.drill.schedule import FROZEN, KILLS, SHORTEST_SECONDS, Kind, plan
from local.folder import PROJECT_DIR

SEEDS = range(40)


def options(*words):
    parser = ArgumentParser()
    add_arguments(parser)
    return chosen(vars(parser.parse_args(words)))


def test_one_seed_prints_one_schedule():
    first, again = (list(plan(seed=7, seconds=60, broker="redis").lines()) for _ in range(2))

    assert first == again
    assert first != list(plan(seed=8, seconds=60, broker="redis").lines())


def test_the_plan_of_a_seed_is_printed_without_starting_anything(tmp_path):
    command = [sys.executable, "-m", "local.drill", "--seed", "3", "--plan"]
    environment = {"PATH": "/usr/bin:/bin", "ORDERS_LOCAL_DIR": str(tmp_path / "untouched")}

    printed = subprocess.run(command, cwd=PROJECT_DIR, env=environment, capture_output=True, text=True, check=True)

    assert printed.stdout.splitlines() == list(plan(seed=3, seconds=60, broker="redis").lines())
    assert not (tmp_path / "untouched").exists()


@pytest.mark.parametrize("seconds", [SHORTEST_SECONDS, 60, 300])
def test_every_seed_delivers_every_kind_of_fault(seconds):
    for seed in SEEDS:
        kinds = Counter(fault.kind for fault in plan(seed=seed, seconds=seconds, broker="redis").faults)

        assert set(kinds) == set(Kind), f"seed {seed} leaves out {set(Kind) - set(kinds)}"


def test_two_thousand_orders_meet_forty_kills_two_wipes_and_two_restarts_of_postgres():
    """The bar of `make proof`."""
    for seed in SEEDS:
        faults = plan(seed=seed, seconds=options().seconds, broker="redis").faults
        killed = Counter(fault.target.rstrip("-2") for fault in faults if fault.kind in KILLS)

        assert sum(killed.values()) >= 40
        assert set(killed) == {"web", "worker", "remote-worker", "relay", "beat", "sandbox"}
        assert sum(fault.kind == Kind.WIPE for fault in faults) == 2
        assert sum(fault.kind == Kind.RESTART_POSTGRES for fault in faults) == 2


def test_the_worker_that_is_frozen_is_never_killed():
    """Its late answer is what the freeze is for."""
    for seed in SEEDS:
        faults = plan(seed=seed, seconds=120, broker="redis").faults

        assert [fault for fault in faults if fault.kind in KILLS and fault.target == FROZEN] == []
        assert {fault.target for fault in faults if fault.kind == Kind.FREEZE} == {FROZEN}


def test_a_postgres_of_somebody_else_is_never_restarted():
    schedule = plan(seed=1, seconds=60, broker="redis", owns_postgres=False)

    kinds = {fault.kind for fault in (*schedule.faults, *schedule.calm)}
    assert Kind.RESTART_POSTGRES not in kinds
    assert Kind.END_SESSIONS in kinds


def test_faults_fall_within_the_orders_time_in_order():
    for seed in SEEDS:
        schedule = plan(seed=seed, seconds=90, broker="amqp")
        times = [fault.at_seconds for fault in (*schedule.faults, *schedule.calm)]

        assert times == sorted(times)
        assert times[0] > 0
        assert times[-1] < schedule.all_seconds


def test_one_seed_makes_one_crowd_and_every_crowd_has_every_habit_and_body():
    for seed in SEEDS:
        crowd = list(wishes(seed=seed, count=20, seconds=60))

        assert crowd == list(wishes(seed=seed, count=20, seconds=60))
        assert {wish.habit for wish in crowd} == set(Habit)
        assert [wish.body for wish in crowd[: len(WANTED)]] == [body for body, _ in WANTED]
        assert len({wish.key for wish in crowd}) == 20
        assert all(0 <= wish.at_seconds <= 60 for wish in crowd)


def test_more_orders_take_more_minutes_and_the_default_takes_one():
    assert options().minutes == 1
    assert options("--orders", "30").minutes == 1
    assert options("--orders", "10000").minutes == 5
    assert options("--orders", "10000", "--minutes", "2").minutes == 2


def test_a_drill_too_short_for_a_freeze_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match=r"--minutes 0.1: a drill needs at least 0.75 minutes"):
        options("--minutes", "0.1")


@pytest.mark.parametrize("words", [("--storm", "5"), ("--storm", "x50"), ("--orders", "0"), ("--broker", "kafka")])
def test_what_no_drill_understands_is_refused(words, capsys):
    with pytest.raises(SystemExit) as ended:
        options(*words)

    assert ended.value.code == 2
    assert words[1] in capsys.readouterr().err


def test_a_storm_is_keys_times_clients():
    assert options("--storm", "1000x50").storm == (1000, 50)
