"""The arming itself: nothing fires unasked, what fires does so once, at the call that was meant."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from tests.armed import arming, faults
from tests.armed.seam import Seam, destination
from tests.armed.switch import Armed, parse, read

MODULE = "tests.crash_points.a_module_to_arm"


@pytest.fixture
def module(monkeypatch, tmp_path):
    """A module with one function that keeps count, in a process of the kind `worker`."""
    made = ModuleType(MODULE)
    made.calls = []
    made.work = lambda name: made.calls.append(name) or [SimpleNamespace(destination=name)]
    monkeypatch.setitem(sys.modules, MODULE, made)
    monkeypatch.setattr(arming, "ENCLOSING", ())
    monkeypatch.setenv("PROCESS_NAME", "worker-2")
    monkeypatch.setenv("ARMED_SWITCH", str(tmp_path / "armed"))
    monkeypatch.delenv("ARMED_POINT", raising=False)
    return made


def arm(module, **seam):
    details = {"process": "worker", "function": f"{MODULE}:work", **seam}
    arming.arm([SimpleNamespace(name="flow.point", seam=Seam(**details))])


def switch_on(tmp_path, fault, *, after=None):
    armed = Armed("flow.point", fault, tmp_path / "mark", after)
    (tmp_path / "armed").write_text(armed.line())
    return armed


def test_without_a_fault_to_fire_a_function_does_what_it_always_does(module):
    arm(module)

    assert module.work("a")[0].destination == "a"
    assert module.calls == ["a"]


def test_a_fault_fires_once_and_its_mark_is_there_before_it(module, tmp_path, monkeypatch):
    arm(module)
    armed = switch_on(tmp_path, "raise")
    seen = []
    monkeypatch.setitem(faults.FAULTS, "raise", lambda one: seen.append(one.mark.exists()))

    module.work("a")
    module.work("b")

    assert (seen, module.calls) == ([True], ["a", "b"])
    assert armed.mark.read_text().startswith('{"pid"')


def test_a_mark_that_another_process_made_disarms(module, tmp_path):
    arm(module)
    assert switch_on(tmp_path, "raise").take(encloses=0)

    module.work("a")

    assert module.calls == ["a"]


def test_a_function_is_armed_after_its_call_and_at_the_one_that_is_meant(module, tmp_path):
    arm(module, after=True, nth=2, concerns=destination("wanted"))
    switch_on(tmp_path, "raise")

    module.work("wanted")
    module.work("another")
    with pytest.raises(faults.ArmedFault):
        module.work("wanted")

    assert module.calls == ["wanted", "another", "wanted"]


@pytest.mark.parametrize(("fault", "calls"), [("lose", []), ("double", ["a", "a"])])
def test_a_call_is_lost_or_doubled(module, tmp_path, fault, calls):
    arm(module)
    switch_on(tmp_path, fault)

    assert module.work("a")

    assert module.calls == calls


def test_a_second_point_waits_until_the_first_has_fired(module, tmp_path):
    arm(module)
    first = tmp_path / "first"
    switch_on(tmp_path, "raise", after=first)
    module.work("a")

    first.touch()

    with pytest.raises(faults.ArmedFault):
        module.work("b")


def test_processes_of_another_kind_are_left_alone(module, tmp_path):
    usual = module.work
    arm(module, process="web")

    assert module.work is usual


def test_one_process_is_armed_by_its_environment(monkeypatch):
    monkeypatch.setenv("ARMED_POINT", "relay.claimed:kill")
    monkeypatch.setenv("ARMED_MARK", "/tmp/fired")

    assert read() == parse("relay.claimed:kill /tmp/fired")
    assert [(one.point, one.fault, str(one.mark), one.after) for one in read()] == [
        ("relay.claimed", "kill", "/tmp/fired", None)
    ]
