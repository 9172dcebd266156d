"""A process that ends is started again, seldom enough not to be in the way."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from local.supervisor import Supervisor


@dataclass
class FakeProgram:
    is_running: bool = True
    log: str = "worker.log"
    process: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(returncode=-9))


@dataclass
class FakeStack:
    programs: dict = field(default_factory=lambda: {"worker": FakeProgram(), "relay": FakeProgram()})
    starts: list = field(default_factory=list)

    def start(self, name):
        self.starts.append(name)
        self.programs[name].is_running = True


@dataclass
class FakeScreen:
    lines: list = field(default_factory=list)

    def step(self, text):
        self.lines.append(text)


@pytest.fixture
def supervisor():
    told = []
    supervisor = Supervisor(FakeStack(), FakeScreen(), lambda: told.append(True))
    supervisor.told = told
    supervisor.look(now=0.0)
    return supervisor


def test_running_processes_are_left_alone(supervisor):
    supervisor.look(now=100.0)

    assert supervisor.stack.starts == []
    assert supervisor.screen.lines == []


def test_an_ended_process_starts_again_after_a_pause_and_alone(supervisor):
    supervisor.stack.programs["worker"].is_running = False
    supervisor.look(now=1.0)
    supervisor.look(now=1.9)
    assert supervisor.stack.starts == []

    supervisor.look(now=2.0)

    assert supervisor.stack.starts == ["worker"]
    assert supervisor.told == [True]
    assert "worker ended with status -9; it starts again in 1 s" in supervisor.screen.lines[0]


def test_the_pause_doubles_up_to_its_bound(supervisor):
    now, pauses = 1.0, []
    for _ in range(8):
        supervisor.stack.programs["worker"].is_running = False
        supervisor.look(now=now)
        pauses.append(supervisor._restarts["worker"].due_at - now)
        now += pauses[-1]
        supervisor.look(now=now)

    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_process_that_ran_well_is_forgiven_its_earlier_endings(supervisor):
    for now in (1.0, 100.0, 1_000.0):
        supervisor.stack.programs["worker"].is_running = False
        supervisor.look(now=now)
        assert supervisor._restarts["worker"].due_at - now == 1
        supervisor.look(now=now + 1)
