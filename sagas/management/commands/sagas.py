"""`manage.py sagas …`: what operators see and do from a shell; thin over sagas.selectors and sagas.verbs."""

import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError

from outbox import proposals
from outbox.command_line import (
    DONE,
    INTERRUPTED,
    MISUSED,
    PROPOSED,
    REFUSED,
    Misuse,
    ServiceCommand,
    add_act,
    add_dry_run,
    add_json,
    add_limit,
    person,
    positive,
)
from sagas import definition, groups, selectors
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


class Command(ServiceCommand):
    help = (
        "Shows sagas, and does operators' verbs on them. An id is a saga's or its subject's (an order's). Each verb "
        "wants a reason and leaves an operator act; done twice, it is done once."
    )
    examples = (
        ("sagas list --stuck", "those that need a look, and why"),
        ("sagas show 01a1f95a-5af0-75b8-a609-0e58f86b53e2", "its steps, and what it waits for"),
        ('sagas retry 01a1f95a-5af0-75b8-a609-0e58f86b53e2 --reason "the provider is back"', "go on now"),
        (
            'sagas resume --all-at create_shipment --reason "the carrier is back"',
            "every saga that waits for a person at that step",
        ),
        ("sagas check", "for a deploy: exit code 1 when live sagas are unknown to this code"),
    )
    exit_codes = {
        DONE: "told, done, or done before",
        REFUSED: "not applicable, refused (or some were), not found; check: live sagas that this code does not know",
        MISUSED: "misuse",
        PROPOSED: "skip and resolve under the two-person rule: proposed, and waits for a second person",
        INTERRUPTED: "interrupted, with --all-at: what is done stays done",
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", help="what to see, or to do")
        listing = actions.add_parser("list", help="sagas, newest first")
        listing.add_argument("--status", choices=Saga.Status.values, help="only those with this status")
        listing.add_argument("--name", choices=definition.names(), help="only sagas of this name")
        listing.add_argument("--stuck", action="store_true", help="only those that need a look")
        add_limit(listing, 50, "at most so many")
        add_json(listing, "one JSON array")
        showing = actions.add_parser("show", help="one saga, its steps and the message it waits for")
        showing.add_argument("id", type=UUID, help="the saga's id, or its order's")
        add_json(showing)
        actions.add_parser("check", help="exit code 1 when live sagas are unknown to this code")
        for name, text in VERBS.items():
            self._add_verb(actions.add_parser(name, help=text), name)

    def _add_verb(self, verb: ArgumentParser, name: str) -> None:
        which = verb.add_mutually_exclusive_group(required=True) if name in groups.VERBS else verb
        optional = "?" if name in groups.VERBS else None
        which.add_argument("id", type=UUID, nargs=optional, help="the saga's id, or its order's")
        if name in groups.VERBS:
            which.add_argument("--all-at", metavar="STEP", help="instead: all that wait for a person at this step")
            rate = groups.RATE_DEFAULT
            verb.add_argument("--rate", type=positive, default=rate, help=f"with --all-at: sagas a second ({rate})")
        if name == "resolve":
            became = verb.add_mutually_exclusive_group(required=True)
            became.add_argument("--happened", metavar="REFERENCE", help="the provider's reference of what happened")
            became.add_argument("--nothing-happened", action="store_true", help="the provider's books have nothing")
        add_act(verb)
        add_dry_run(verb)
        add_json(verb)

    def handle(self, *args: Any, **options: Any) -> None:
        action = options["action"]
        if options.get("all_at"):
            self._verb_on_all(action, options)
        elif action in VERBS:
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
            self.print_json(SagaSerializer(rows, many=True).data)
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
            self.print_json(SagaDetailSerializer(saga).data)
        else:
            self.stdout.write(table(saga))

    def _check(self, options: dict[str, Any]) -> None:
        unknown = selectors.unknown_to_this_code()
        for name, version, step, count in unknown:
            self.stderr.write(f"{count} live sagas of {name} v{version} are at {step}.")
        if unknown:
            raise CommandError("This code does not know them: deploy code that does.", returncode=REFUSED)
        self.stdout.write("This code knows every live saga.")

    def _verb(self, name: str, options: dict[str, Any]) -> None:
        more = {"happened": options["happened"]} if name == "resolve" else {}
        self.do(proposals.verb_on("saga", name), _find(options["id"]), options, **more)

    def _verb_on_all(self, name: str, options: dict[str, Any]) -> None:
        step, who = options["all_at"], person(options)
        if step not in selectors.step_names():
            raise Misuse(f"--all-at {step}: no saga has such a step. There are {', '.join(selectors.step_names())}.")
        waiting = groups.waiting_at(step)
        found, report = waiting[: groups.SAGAS_MAX], groups.Report()
        left = " There are more: call it again for them." if len(waiting) > len(found) else ""
        if options["dry_run"]:
            report.found = len(found)
            self._tell_group(report, f"{name}: would be done to {len(found)}.{left}", options)
            return
        with self.progress("sagas", options, total=len(found)) as progress:
            try:
                for saga_id in groups.paced(found, rate_per_second=options["rate"]):
                    groups.perform(name, saga_id, who=who, reason=options["reason"], report=report)
                    progress.add()
            except KeyboardInterrupt:
                progress.erase()
                self._tell_group(report, f"{name}: done to {report.done} of {len(found)}, then interrupted.", options)
                sys.exit(INTERRUPTED)
        self._tell_group(report, f"{name}: done to {report.done} of {report.found}.{left}", options)
        if report.refused:
            raise CommandError(f"{len(report.refused)} refused, or moved on meanwhile.", returncode=REFUSED)

    def _tell_group(self, report: groups.Report, said: str, options: dict[str, Any]) -> None:
        if options["json"]:
            self.print_json({"found": report.found, "done": report.done, "refused": report.refused})
            return
        for sentence in report.refused:
            self.stderr.write(sentence)
        self.stdout.write(said)


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
