"""What a running process may have taken away from it: file descriptors, and the answers of name servers.

Descriptors are limited from outside (Linux): what is open stays open, and nothing new can be opened. Names fail for
processes started with `names_fail(folder)` for as long as the file that it names exists.
"""

import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from local.program import Program

# A new descriptor takes the lowest free number: below the standard streams and a few others none is ever free.
DESCRIPTORS_LEFT = 4

FAILING_RESOLVER = '''"""Loaded at the start of every interpreter: no name resolves while a file exists."""

import os
import socket

original = socket.getaddrinfo


def getaddrinfo(host, *arguments, **options):
    if os.path.exists(os.environ["NAMES_FAIL_WHILE"]) and host == os.environ["NAMES_FAIL_FOR"]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return original(host, *arguments, **options)


socket.getaddrinfo = getaddrinfo
'''


def family(program: Program) -> list[psutil.Process]:
    """The program and its children."""
    root = psutil.Process(program.pid)
    return [root, *children(program)]


def children(program: Program) -> list[psutil.Process]:
    """The program's children alone: a parent that starts others in their place is left as it is."""
    found: list[psutil.Process] = psutil.Process(program.pid).children(recursive=True)
    return found


@contextmanager
def without_descriptors(processes: Sequence[psutil.Process]) -> Iterator[None]:
    """None of these can open another file or socket."""
    if sys.platform != "linux":
        pytest.skip("another process's limits can only be changed on Linux")
    limits = {process.pid: resource.prlimit(process.pid, resource.RLIMIT_NOFILE) for process in processes}
    try:
        for pid, (_, hard) in limits.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (DESCRIPTORS_LEFT, hard))
        yield
    finally:
        for pid, limit in limits.items():
            if psutil.pid_exists(pid):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)


def names_fail(folder: Path, host: str) -> tuple[dict[str, str], Path]:
    """The environment of such a process, and the file whose existence makes this name fail."""
    (folder / "sitecustomize.py").write_text(FAILING_RESOLVER)
    switch = folder / "names-fail"
    return {"PYTHONPATH": str(folder), "NAMES_FAIL_WHILE": str(switch), "NAMES_FAIL_FOR": host}, switch
