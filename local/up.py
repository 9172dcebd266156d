"""`make up`: the whole service on this machine, from nothing to a first order, until Ctrl-C.

Guarantees that every process it started ends within ten seconds of Ctrl-C, of a failure, or of its own death, and that
a second `make up` over the same folder is refused with a sentence. Does not guarantee anything for production: there
each process is started by whoever runs the machines (docker-compose.yml shows how).
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType
from typing import Any

import environ

from local import ports, run_file
from local.errors import LocalError, StartFailed
from local.farewell import Farewell
from local.folder import PROJECT_DIR, Folder, local_dir
from local.journey import JOURNEYS, Traveller
from local.program import ENDING_SIGNALS, Program
from local.screen import Screen
from local.servers import Servers, start_servers
from local.stack import Stack
from local.supervisor import Supervisor

FIRST_WEB_PORT = 8000
MIGRATE_TRIES = 3


class Up:
    """One run of the command; its steps in the order in which they happen."""

    def __init__(self, *, once: bool) -> None:
        self.once = once
        self.folder = Folder(local_dir())
        self.screen = Screen()
        self.environment: dict[str, str] = {}

    def run(self) -> int:
        with ExitStack() as ending:
            self._take_folder(ending)
            web_port = self._choose_web_port()
            servers = start_servers(self.folder, ending, durable=True)
            self.screen.step(f"Postgres and Valkey are up{_whose(servers)}")
            stack = self._prepare_stack(servers, web_port)
            ending.callback(run_file.forget, self.folder)
            self._prepare_database()
            ending.callback(stack.end)
            stack.start()
            run_file.write_run(self.folder, stack)
            for name in stack.programs:
                stack.wait_until_ready(name)
                self.screen.step(f"{name} is healthy")
            run = run_file.write_run(self.folder, stack)
            ended_well = self._show_journeys(run)
            if not self.once:
                Farewell(self.screen, run, self.folder.path).show()
                Supervisor(stack, self.screen, lambda: run_file.write_run(self.folder, stack)).watch()
        journeys = "both orders ended as they should" if ended_well else "not every order ended as it should"
        self.screen.step(f"{journeys}; everything has ended")
        return 0 if ended_well else 1

    def _take_folder(self, ending: ExitStack) -> None:
        self.folder.make()
        lock = self.folder.hold()
        if lock is None:
            base_url = self.folder.read_json(run_file.RUN_FILE).get("base_url", "soon")
            raise LocalError(f"Another `make up` already uses {self.folder.path} (serving on {base_url}).")
        ending.enter_context(lock)
        left = run_file.end_leftovers(self.folder)
        if left:
            self.screen.step(f"ended what an earlier run had left behind: {', '.join(left)}")

    def _choose_web_port(self) -> int:
        """Says so when it is another than people expect."""
        wanted = os.environ.get("WEB_PORT")
        if wanted:
            return ports.insist(ports.parse(wanted, variable="WEB_PORT"), variable="WEB_PORT")
        port = ports.choose(self.folder, "web", first=FIRST_WEB_PORT)
        if port != FIRST_WEB_PORT:
            why = (
                f"as before; WEB_PORT={FIRST_WEB_PORT} make up takes {FIRST_WEB_PORT}"
                if ports.is_free(FIRST_WEB_PORT)
                else f"because {FIRST_WEB_PORT} is taken; WEB_PORT chooses another"
            )
            self.screen.step(f"the API will be on port {port} ({why})")
        return port

    def _prepare_stack(self, servers: Servers, web_port: int) -> Stack:
        stack = Stack(self.folder, self.environment, web_port=web_port)
        metrics = self.folder.path / "metrics"
        metrics.mkdir(exist_ok=True)
        for old in metrics.glob("*.db"):  # of processes that are gone
            old.unlink()
        self.environment |= {
            "DATABASE_URL": servers.database_url,
            "CELERY_BROKER_URL": servers.broker_url,
            "SANDBOX_URL": stack.sandbox_url,
            "WEBHOOK_URL": f"{stack.base_url}/webhooks/payments",
            "DEBUG": "1",
            "LOCAL_TOOLS": "1",
            "HTTPS_ONLY": "0",
            "SECRET_KEY": run_file.secret_key(self.folder),
            "PROMETHEUS_MULTIPROC_DIR": str(metrics),
            "ORDERS_LOCAL_DIR": str(self.folder.path),
        }
        run_file.write_env(self.folder, self.environment)
        return stack

    def _prepare_database(self) -> None:
        self._manage("migrate", "--no-input", "--verbosity", "0", tries=MIGRATE_TRIES)
        self._manage("create_groups", "--verbosity", "0")
        self.screen.step("the database is migrated")
        self._manage("seed_demo", "--verbosity", "0")

    def _show_journeys(self, run: dict[str, Any]) -> bool:
        traveller = Traveller(
            base_url=run["base_url"],
            token=run["tokens"]["customer"],
            database_url=run["database_url"],
            screen=self.screen,
        )
        # Both are shown, whatever became of the first.
        ended_well = [traveller.travel(journey) for journey in JOURNEYS]
        return all(ended_well)

    def _manage(self, *arguments: str, tries: int = 1) -> None:
        """Raises StartFailed; what the command said is shown when its last try failed too."""
        program = Program(
            name=arguments[0],
            command=[sys.executable, str(PROJECT_DIR / "manage.py"), *arguments],
            log=self.folder.path / f"{arguments[0]}.log",
            environment={**self.environment, "PROCESS_NAME": arguments[0]},
            directory=PROJECT_DIR,
        )
        for attempt in range(1, tries + 1):
            if program.run_to_end() == 0:
                return
            if attempt < tries:  # a database that is only just starting, or another command migrating it
                time.sleep(attempt)
        self.screen.complain(program.said())
        raise StartFailed(f"`manage.py {arguments[0]}` failed; what it said stands above.")


def _whose(servers: Servers) -> str:
    ours = [
        f"{name} on port {server.port}"
        for name, server in (("Postgres", servers.postgres), ("Valkey", servers.valkey))
        if server
    ]
    return f" ({', '.join(ours)})" if ours else " (yours, from the environment)"


def _interrupt(number: int, frame: FrameType | None) -> None:
    """The first signal begins the end; the end is bounded, so further ones need not hurry it."""
    for ended_by in ENDING_SIGNALS:
        signal.signal(ended_by, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make up", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--once", action="store_true", help="end after the two journeys; status 0 when they ended well")
    options = parser.parse_args(arguments)
    environ.Env.read_env(PROJECT_DIR / ".env")
    for number in ENDING_SIGNALS:
        signal.signal(number, _interrupt)
    up = Up(once=options.once)
    try:
        return up.run()
    except LocalError as error:
        up.screen.complain(str(error))
        return 1
    except OSError as error:  # a disk that filled up meanwhile, a limit of the system
        up.screen.complain(
            f"The system refused something that was needed in {up.folder.path}: {error.strerror or error}."
        )
        return 1
    except KeyboardInterrupt:
        up.screen.step("everything has ended")
        return 130 if options.once else 0


if __name__ == "__main__":
    sys.exit(main())
