"""`.local/run.json` tells scripts what runs; `.local/env` lets `manage.py` in a second shell find the same servers.

Guarantees that both are gone once `make up` ended in order. After a SIGKILL they are left behind: `end_leftovers` ends
what they name, and only that: a process is known by its number and the moment it was created.
"""

import secrets
from collections.abc import Mapping
from typing import Any

import psutil

from local.folder import Folder
from local.program import kill_group
from local.stack import Stack

RUN_FILE = "run.json"
ENV_FILE = "env"
CREDENTIALS_FILE = "credentials.json"
SECRET_FILE = "secret.json"  # noqa: S105 - a file's name


def secret_key(folder: Folder) -> str:
    """Random, and remembered so that sessions outlive a restart."""
    remembered = folder.read_json(SECRET_FILE).get("secret_key")
    if isinstance(remembered, str):
        return remembered
    key = secrets.token_urlsafe(50)
    folder.write_json(SECRET_FILE, {"secret_key": key})
    return key


def write_env(folder: Folder, environment: Mapping[str, str]) -> None:
    lines = ["# Written by `make up` while it runs; settings.py reads it."]
    lines += [f"{name}={_quoted(value)}" for name, value in sorted(environment.items())]
    folder.write_private(ENV_FILE, "\n".join(lines) + "\n")


def write_run(folder: Folder, stack: Stack) -> dict[str, Any]:
    """Also returns what it wrote; called again after every change of a process."""
    credentials = folder.read_json(CREDENTIALS_FILE)
    run = {
        "base_url": stack.base_url,
        "tokens": credentials.get("tokens", {}),
        "admin": credentials.get("admin", {}),
        "operator": credentials.get("operator", {}),
        "database_url": stack.environment["DATABASE_URL"],
        "broker_url": stack.environment["CELERY_BROKER_URL"],
        "sandbox_url": stack.sandbox_url,
        "metrics_url": f"{stack.base_url}/metrics",
        "processes": {
            name: {"pid": program.pid, "created_at": _created_at(program.pid), "log": str(program.log)}
            for name, program in stack.programs.items()
        },
    }
    folder.write_json(RUN_FILE, run)
    return run


def forget(folder: Folder) -> None:
    for name in (RUN_FILE, ENV_FILE):
        (folder.path / name).unlink(missing_ok=True)


def end_leftovers(folder: Folder) -> list[str]:
    """Kills what an earlier `make up` left alive; returns the names."""
    ended = []
    processes = folder.read_json(RUN_FILE).get("processes", {})
    for name, process in processes.items():
        pid = process.get("pid")
        if pid and process.get("created_at") and _created_at(pid) == process["created_at"]:
            kill_group(pid)
            ended.append(name)
    forget(folder)
    return ended


def _quoted(value: str) -> str:
    """As django-environ and a shell read it."""
    if "'" not in value:
        return f"'{value}'"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _created_at(pid: int | None) -> float | None:
    try:
        return float(psutil.Process(pid).create_time()) if pid else None
    except psutil.Error:
        return None
