"""`manage.py sandbox`: run the payment provider and carrier, change their mood, read their ledger."""

import json
import os
import signal
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType
from typing import Any

import requests
from django.conf import settings
from django.core.management.base import CommandError

from local.folder import local_dir
from local.sandbox.faults import MOODS
from local.sandbox.server import SandboxServer
from local.sandbox.webhooks import WebhookSender
from outbox.command_line import DONE, MISUSED, REFUSED, Misuse, ServiceCommand

REQUEST_SECONDS = 5
DEFAULT_PORT = 8099


class Command(ServiceCommand):
    help = (
        "The sandbox: a payment provider and a carrier with faults and a ledger of their own (docs/sandbox.md). "
        "Development only; `make up` runs it. mood and ledger print JSON."
    )
    examples = (
        ("sandbox mood shipping down", "the carrier fails every call from now on"),
        ("sandbox mood shipping ok", "and is well again"),
        ("sandbox ledger", "what they have in their books, and which rules were broken"),
    )
    exit_codes = {
        DONE: "done; run: ended by a signal",
        REFUSED: "the sandbox does not answer, or refused",
        MISUSED: "misuse",
    }
    # It must run before anything else does, and beside a database that is away.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", help="run, mood or ledger")
        run = verbs.add_parser("run", help="serve until SIGTERM or Ctrl-C")
        run.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"where it serves (default: {DEFAULT_PORT})")
        run.add_argument("--host", default="127.0.0.1", help="loopback, unless it runs in a container of its own")
        run.add_argument("--ledger", type=Path, default=None, help="the SQLite file (default: in the local folder)")
        run.add_argument(
            "--webhook-url", default=os.environ.get("WEBHOOK_URL", ""), help="where webhooks go (default: $WEBHOOK_URL)"
        )
        mood = verbs.add_parser("mood", help="change how a provider behaves, for all its callers")
        mood.add_argument("provider", choices=["payments", "shipping"], help="whose mood")
        mood.add_argument("mood", choices=MOODS, help="how it behaves from now on")
        mood.add_argument(
            "--rate", action="append", default=[], metavar="FAULT=SHARE", help="for example --rate drop_reply=0.1"
        )
        verbs.add_parser("ledger", help="what the providers have in their books, and which rules were broken")

    def handle(self, *args: Any, **options: Any) -> None:
        {"run": self._run, "mood": self._mood, "ledger": self._ledger}[options["verb"]](options)

    def _run(self, options: dict[str, Any]) -> None:
        server = SandboxServer(
            host=options["host"],
            port=options["port"],
            ledger_path=options["ledger"] or local_dir() / "sandbox" / "ledger.sqlite3",
            api_keys=frozenset(one["OPTIONS"]["api_key"] for one in (settings.PAYMENT_GATEWAY, settings.CARRIER)),
            webhooks=WebhookSender(url=options["webhook_url"], secret=settings.PAYMENT_WEBHOOK_SECRET),
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _end)
        self.stdout.write(f"The sandbox serves http://127.0.0.1:{server.server_port}")
        self.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            self.stdout.write("The sandbox ends.")
        finally:
            server.ending.set()
            server.server_close()
            server.ledger.close()

    def _mood(self, options: dict[str, Any]) -> None:
        body = {"mood": options["mood"], "rates": dict(_rate(text) for text in options["rate"])}
        moods = _ask("POST", f"/moods/{options['provider']}", json=body)
        self.stdout.write(json.dumps(moods, indent=2))

    def _ledger(self, options: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(_ask("GET", "/ledger") | _ask("GET", "/ledger/violations"), indent=2))


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _rate(text: str) -> tuple[str, float]:
    fault, _, share = text.partition("=")
    try:
        return fault, float(share)
    except ValueError:
        raise Misuse(f"--rate takes FAULT=SHARE, for example drop_reply=0.1, not {text!r}") from None


def _ask(method: str, path: str, **options: Any) -> dict[str, Any]:
    try:
        answer = requests.request(method, settings.SANDBOX_URL + path, timeout=REQUEST_SECONDS, **options)
    except requests.RequestException as error:
        raise CommandError(f"The sandbox does not answer at {settings.SANDBOX_URL}: is `make up` running?") from error
    if not answer.ok:
        raise CommandError(f"The sandbox refused: {_reason(answer)}.")
    told: dict[str, Any] = answer.json()
    return told


def _reason(answer: requests.Response) -> str:
    """The message of its error, else the error's code, else what it said."""
    try:
        error = answer.json()["error"]
        return str(error.get("message") or error["code"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return answer.text
