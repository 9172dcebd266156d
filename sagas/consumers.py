"""Every step of every saga is a destination of its own: rung through Celery, one batch one kind of work."""

from collections.abc import Sequence

from outbox import consumer, remote, routing
from outbox.envelope import Message
from outbox.routing import Inside

from . import recovery
from .definition import STEP_DUE, Definition
from .runner import RemoteStepWork, works_of

LOCAL_QUEUE = "steps"


def connect(definition: Definition) -> None:
    """Registers the destinations of a definition's steps and compensations."""
    for step in definition.steps:
        for work in works_of(definition, step):
            is_remote = isinstance(work, RemoteStepWork)
            routing.register(
                Inside(
                    name=work.destination,
                    queue=work.provider if isinstance(work, RemoteStepWork) else LOCAL_QUEUE,
                    types=frozenset({STEP_DUE}),
                    run=remote.remote(work) if isinstance(work, RemoteStepWork) else consumer.local(work),
                    remote=is_remote,
                    on_dead=_on_dead,
                )
            )


def _on_dead(messages: Sequence[Message]) -> None:
    recovery.message_died(messages)
