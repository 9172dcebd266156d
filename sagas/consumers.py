"""Every step of every saga is a destination of its own: rung through Celery, one batch one kind of work."""

from outbox import consumer, remote, routing
from outbox.routing import Inside

from . import recovery, telemetry
from .definition import STEP_DUE, Definition, remember
from .runner import LocalWork, RemoteStepWork, works_of

LOCAL_QUEUE = "steps"


def register(definition: Definition) -> Definition:
    """Makes a definition known, and its steps and compensations destinations."""
    remember(definition)
    telemetry.expect(definition)
    for step in definition.steps:
        for work in works_of(definition, step):
            routing.register(_destination(work))
    return definition


def _destination(work: LocalWork | RemoteStepWork) -> Inside:
    is_remote = isinstance(work, RemoteStepWork)
    return Inside(
        name=work.destination,
        queue=work.provider if isinstance(work, RemoteStepWork) else LOCAL_QUEUE,
        types=frozenset({STEP_DUE}),
        run=remote.remote(work) if isinstance(work, RemoteStepWork) else consumer.local(work),
        remote=is_remote,
        on_dead=recovery.message_died,
    )
