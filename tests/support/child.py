"""A process of its own over the test's database, to be killed or asked to stop: for tests of `transaction=True`."""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.db import connection

from local.folder import PROJECT_DIR

DEADLINE_SECONDS = 60
SETUP = "import os, signal, django; django.setup()\n"


def script(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs Python with Django set up, to its end; a negative return code is the signal that killed it."""
    command = [sys.executable, "-c", SETUP + code]
    return subprocess.run(command, **_options(environment), capture_output=True, check=False, timeout=DEADLINE_SECONDS)


def manage(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """Starts a management command; its output can be read line by line. It is killed when it outlives the deadline."""
    command = [sys.executable, "-u", "manage.py", *arguments]
    process = subprocess.Popen(command, **_options(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    timer = threading.Timer(DEADLINE_SECONDS, process.kill)
    timer.daemon = True
    timer.start()
    return process


def read_until(process: "subprocess.Popen[str]", text: str) -> str:
    """Reads lines until one contains the text; fails at the end of the output."""
    seen = []
    assert process.stdout is not None
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return line
    raise AssertionError(f"no {text!r} in:\n{''.join(seen)}")


def _options(environment: Mapping[str, str]) -> dict[str, Any]:
    server = urlsplit(os.environ["DATABASE_URL"])
    own = {
        "DATABASE_URL": server._replace(path=f"/{connection.settings_dict['NAME']}").geturl(),
        "DJANGO_SETTINGS_MODULE": "orders_project.settings",
        "PYTHONPATH": str(PROJECT_DIR),
    }
    return {"cwd": PROJECT_DIR, "env": {**os.environ, **own, **environment}, "text": True}
