#!/usr/bin/env python
"""Django's command line for this project. What is missing on this machine is told in one sentence, with status 1."""

import os
import sys
from importlib.util import find_spec

# They come with the app `local`, which `make up` switches on.
LOCAL_COMMANDS = ("drill", "sandbox", "seed_demo")
# It starts everything that it needs, and needs nothing that runs.
ALONE = "drill"


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orders_project.settings")
    if sys.argv[1:2] == [ALONE] and find_spec("local"):
        os.environ.setdefault("LOCAL_TOOLS", "1")
    try:
        from django.core.management import execute_from_command_line
        from django.db import OperationalError
    except ImportError as error:
        sys.exit(f"Cannot import Django ({error}): run .venv/bin/python manage.py …; `make up` makes that .venv.")

    refuse_local_command()
    try:
        execute_from_command_line(sys.argv)
    except BrokenPipeError:
        # The reader has seen enough (`manage.py sagas list | head`): no traceback, now or at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OperationalError as error:
        # Postgres gives every error of its own a code: without one there was no connection.
        if getattr(error.__cause__, "sqlstate", None) or "--traceback" in sys.argv:
            raise
        # As in every command of ours: it could not be asked.
        sys.stderr.write(f"{why_no_database(str(error))}\n")
        sys.exit(2)


def refuse_local_command() -> None:
    from django.conf import settings

    command = next(iter(sys.argv[1:]), "")
    if command in LOCAL_COMMANDS and not settings.LOCAL_TOOLS:
        sys.exit(f"`manage.py {command}` works while `make up` runs in another shell (or with LOCAL_TOOLS=1).")


def why_no_database(error: str) -> str:
    """One sentence; settings.py has put what `.env` and `.local/env` say into the environment."""
    reason = next(iter(error.strip().splitlines()), "no connection")
    if not os.environ.get("DATABASE_URL"):
        return f"Nothing runs here: start `make up` and leave it running, or set DATABASE_URL ({reason})."
    return f"The Postgres that DATABASE_URL names cannot be used: {reason}"


if __name__ == "__main__":
    main()
