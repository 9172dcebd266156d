"""`manage.py sagas …`: what operators see and do from a shell; thin over sagas.selectors and sagas.verbs.

Exit codes: 0 done, or already done before; 1 not applicable, refused, not found, or live sagas that this code does not
know; 2 misuse.
"""

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder

from sagas import definition, selectors, verbs
from sagas.exceptions import NotApplicable, SagaError
from sagas.models import Saga
from sagas.serializers import SagaDetailSerializer, SagaSerializer
from sagas.steps_table import table

VERBS: Mapping[str, str] = {
    "retry": "try the current step again now, with all its attempts",
    "resume": "go on where it stopped, with a new deadline and the attempts left",
    "skip": "go on as if the current step, or its compensation, needed no doing",
    "compensate": "turn back: undo what was done",
    "cancel": "cancel as the customer would",
    "resolve": "say what became of a step whose outcome is unknown",
}
LINE = "{id:<36}  {name:<15} {status:<15} {direction:<9} {step:<16} {started:<19}  {said}"


class Command(BaseCommand):
    help = "Shows sagas, and does operators' verbs on them. An id is a saga's or its subject's (an order's)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        listing = actions.add_parser("list", help="sagas, newest first")
        listing.add_argument("--status", choices=Saga.Status.values)
        listing.add_argument("--name", choices=definition.names())
        listing.add_argument("--stuck", action="store_true", help="only those that need a look")
        listing.add_argument("--limit", type=int, default=50)
        listing.add_argument("--json", action="store_true", help="one JSON array")
        showing = actions.add_parser("show", help="one saga, its steps and the message it waits for")
        showing.add_argument("id", type=UUID)
        showing.add_argument("--json", action="store_true", help="one JSON object")
        actions.add_parser("check", help="exit code 1 when live sagas are unknown to this code")
        for name, text in VERBS.items():
            verb = actions.add_parser(name, help=text)
            verb.add_argument("id", type=UUID)
            verb.add_argument("--reason", required=True, help="why; stands in the operator act")
            if name == "resolve":
                became = verb.add_mutually_exclusive_group(required=True)
                became.add_argument("--happened", metavar="REFERENCE", help="the provider's reference of what happened")
                became.add_argument("--nothing-happened", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        action = options["action"]
        if action in VERBS:
            self._verb(action, options)
        else:
            {"list": self._list, "show": self._show, "check": self._check}[action](options)

    def _list(self, options: dict[str, Any]) -> None:
        sagas = Saga.objects.order_by("-pk").defer("data")
        if options["stuck"]:
            sagas = selectors.stuck(sagas)
        wanted = {name: options[name] for name in ("status", "name") if options[name]}
        rows = list(sagas.filter(**wanted)[: options["limit"]])
        if options["json"]:
            self._json(SagaSerializer(rows, many=True).data)
            return
        if not rows:
            self.stdout.write("No saga matches.")
            return
        self.stdout.write(
            LINE.format(
                id="saga",
                name="name",
                status="status",
                direction="direction",
                step="at",
                started="started (UTC)",
                said="error, or reason",
            )
        )
        for saga in rows:
            self.stdout.write(_line(saga))

    def _show(self, options: dict[str, Any]) -> None:
        saga = _find(options["id"])
        if options["json"]:
            self._json(SagaDetailSerializer(saga).data)
        else:
            self.stdout.write(table(saga))

    def _check(self, options: dict[str, Any]) -> None:
        unknown = selectors.unknown_to_this_code()
        for name, version, step, count in unknown:
            self.stderr.write(f"{count} live sagas of {name} v{version} are at {step}.")
        if unknown:
            raise CommandError("This code does not know them: deploy code that does.", returncode=1)
        self.stdout.write("This code knows every live saga.")

    def _verb(self, name: str, options: dict[str, Any]) -> None:
        if not options["reason"].strip():
            raise CommandError("--reason says why: it must not be blank.")
        more = {"happened": options["happened"]} if name == "resolve" else {}
        saga = _find(options["id"])
        try:
            changed = verbs.perform(name, saga.pk, who=None, reason=options["reason"], **more)
        except NotApplicable as refusal:
            raise CommandError(f"{name}: {refusal}") from refusal
        except SagaError as refusal:
            raise CommandError(f"{name} refused: {refusal}") from refusal
        self.stdout.write(f"{name}: done." if changed else f"{name}: already done, nothing changed.")

    def _json(self, data: Any) -> None:
        self.stdout.write(json.dumps(data, cls=DjangoJSONEncoder, indent=2))


def _line(saga: Saga) -> str:
    return LINE.format(
        id=str(saga.pk),
        name=saga.name,
        status=saga.status,
        direction=saga.direction,
        step=saga.current_step,
        started=f"{saga.started_at:%Y-%m-%d %H:%M:%S}",
        said=saga.last_error or saga.reason,
    ).rstrip()


def _find(identity: UUID) -> Saga:
    saga = Saga.objects.filter(selectors.by_any_id([identity])).first()
    if saga is None:
        raise CommandError(f"There is no saga {identity}, nor one of a subject of that id.")
    return saga
