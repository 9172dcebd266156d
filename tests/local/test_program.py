"""Whatever is started comes to an end: asked, killed, or left alone by a parent that died."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from local.folder import PROJECT_DIR
from local.program import Program

SLEEPS = "import time; print('ready', flush=True); time.sleep(600)"
IGNORES_SIGTERM = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPS}"
FORKS = f"import os, time; os.fork() or time.sleep(600); {SLEEPS}"
STARTS_A_PROGRAM = """
import sys, time
from pathlib import Path
from local.program import Program
program = Program(name="child", command=[sys.executable, "-c", "import time; time.sleep(600)"], log=Path(sys.argv[1]))
program.start()
print(program.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def start(tmp_path):
    started = []

    def start_program(code):
        program = Program(name="program", command=[sys.executable, "-c", code], log=tmp_path / "program.log")
        started.append(program)
        program.start()
        wait_until(lambda: "ready" in program.log.read_text())
        return program

    yield start_program
    for program in started:
        program.kill()


def wait_until(happened, *, within_seconds=10):
    deadline = time.monotonic() + within_seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_program_that_is_asked_to_end_ends(start):
    program = start(SLEEPS)

    program.end(within_seconds=5)

    assert not program.is_running
    assert program.process.returncode == -signal.SIGTERM


def test_a_program_that_does_not_listen_is_killed_after_the_bound(start):
    program = start(IGNORES_SIGTERM)

    program.end(within_seconds=0.1)

    assert program.process.returncode == -signal.SIGKILL


def test_a_kill_takes_the_children_along(start):
    program = start(FORKS)
    (child,) = psutil.Process(program.pid).children()

    program.kill()

    wait_until(lambda: not is_alive(child.pid))


def test_an_ended_program_starts_again_under_its_name(start):
    program = start(SLEEPS)
    first = program.pid
    program.kill()

    program.start()

    assert program.is_running
    assert program.pid != first


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_a_program_does_not_outlive_whoever_started_it(tmp_path):
    command = [sys.executable, "-c", STARTS_A_PROGRAM, str(tmp_path / "child.log")]
    with subprocess.Popen(command, cwd=PROJECT_DIR, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        assert is_alive(child)

        os.kill(parent.pid, signal.SIGKILL)

        wait_until(lambda: not is_alive(child))
