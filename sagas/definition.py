"""A saga's definition: its steps and their compensations, on one screen of the owner's `sagas.py`.

Two kinds of actions. A local one only touches Postgres: a set-based function inside the transaction that also records
its outcome (exactly once). A remote one calls somebody else: it notes an intent, calls, and records the fact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from .conf import conf
from .exceptions import UnknownDefinition
from .outcomes import Outcome

UNDO = ".undo"
STEP_DUE = "saga.step_due.v1"


@dataclass(frozen=True, kw_only=True)
class StepRun:
    """What an action gets to know of one saga.

    `key` is the provider's idempotency key, the same in every attempt. Only a compensation has more than one: after a
    refusal, which a provider repeats to whoever asks under its key, a person's retry asks under the next one.
    """

    saga_id: UUID
    subject_id: UUID
    step: str
    undo: bool
    data: Mapping[str, Any]
    attempt: int
    refusals: int = 0

    @property
    def key(self) -> str:
        again = f":{self.refusals + 1}" if self.refusals else ""
        return f"{self.saga_id}:{self.step}{UNDO if self.undo else ''}{again}"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A saga whose every effect is undone: what its owner is told, in the transaction that ends it."""

    saga_id: UUID
    subject_id: UUID
    reason: str
    data: Mapping[str, Any]


# Runs inside the transaction that records the outcomes; answers one outcome per run, by saga id.
LocalAction = Callable[[Sequence[StepRun]], Mapping[UUID, Outcome]]


@dataclass(frozen=True, kw_only=True)
class RemoteAction:
    """A call to somebody else.

    `note` (in a transaction, set-based) writes down what will be asked for and returns intents by saga id, the same
    intent for the same run. `call` and `probe` use the network only, never the database; `probe` answers None when
    the effect is absent. `record` (in a transaction, set-based) gets (intent, fact) pairs, a fact being what call or
    probe returned, the exception they raised, or Absent() or Unknown() of an attempt that only asked; it writes the
    facts, whoever runs now, and answers outcomes in the same order.
    `receipt` makes the answer that an operator's `resolve` stands for, from a provider's reference.
    """

    note: Callable[[Sequence[StepRun]], Mapping[UUID, Any]]
    call: Callable[[Any], Any]
    probe: Callable[[Any], Any]
    record: Callable[[Sequence[tuple[Any, object]]], Sequence[Outcome]]
    receipt: Callable[[Any, str], Any]


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often and how long a step is tried: backoff base · 2^(attempts-1) up to the cap, with full jitter."""

    max_attempts: int | None = None
    base_seconds: float = 2.0
    cap_seconds: float = 300.0

    @property
    def attempts(self) -> int:
        return self.max_attempts or conf().step_max_attempts


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step. `provider` names the queue and the gate of a remote step; `gives_up_as` is the saga's reason when its
    attempts, or its `timeout` since the first attempt, are spent and nothing happened. After the `pivot` a saga only
    goes forward."""

    name: str
    action: LocalAction | RemoteAction
    compensation: LocalAction | RemoteAction | None = None
    provider: str | None = None
    pivot: bool = False
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: timedelta | None = None
    gives_up_as: str = "unavailable"

    def does(self, *, undo: bool) -> LocalAction | RemoteAction | None:
        return self.compensation if undo else self.action


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A process by name and version. An instance keeps the version, and so the steps, that it began with.

    `on_compensated` runs in the transaction that ends a compensated saga, `on_purged` in the one that removes sagas: it
    gets a line about each, by subject id. `upcasters` migrate an instance's data on read: the function under n turns
    data of version n into n + 1, up to `data_version`.
    """

    name: str
    steps: Sequence[Step]
    on_compensated: Callable[[Sequence[Ended]], None]
    on_purged: Callable[[Mapping[UUID, str]], None] | None = None
    version: int = 1
    data_version: int = 1
    upcasters: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = field(default_factory=dict)

    def destination(self, step: str, *, undo: bool) -> str:
        """Where the step's messages go. A later version has destinations of its own, so that a batch is of one
        definition and code that does not know the version leaves its messages alone (F11)."""
        prefix = self.name if self.version == 1 else f"{self.name}.v{self.version}"
        return f"{prefix}.{step}{UNDO if undo else ''}"

    def step(self, name: str) -> Step:
        for step in self.steps:
            if step.name == name:
                return step
        raise UnknownDefinition(f"{self.name} v{self.version} has no step {name!r}.")

    def position(self, name: str) -> int:
        return [step.name for step in self.steps].index(name)

    def after(self, name: str) -> Step | None:
        """The step after this one, or None after the last."""
        following = self.position(name) + 1
        return self.steps[following] if following < len(self.steps) else None

    def upcast(self, data: dict[str, Any], version: int) -> dict[str, Any]:
        """Data of an older version, brought to this definition's."""
        for older in range(version, self.data_version):
            data = self.upcasters[older](data)
        return data


_definitions: dict[tuple[str, int], Definition] = {}


def remember(definition: Definition) -> None:
    """Makes a definition known by name and version; sagas.consumers.register also gives its steps destinations."""
    _definitions[definition.name, definition.version] = definition


def find(name: str, version: int) -> Definition:
    """The definition of a live instance; raises UnknownDefinition."""
    try:
        return _definitions[name, version]
    except KeyError:
        raise UnknownDefinition(f"No code of this process knows saga {name!r} version {version}.") from None


def latest(name: str) -> Definition:
    """The definition that new instances begin with."""
    versions = [version for known, version in _definitions if known == name]
    if not versions:
        raise UnknownDefinition(f"No code of this process knows saga {name!r}.")
    return _definitions[name, max(versions)]


def names() -> list[str]:
    """Every known saga."""
    return sorted({name for name, _ in _definitions})


def versions(name: str) -> list[Definition]:
    """Every known version of a saga."""
    return [definition for (known, _), definition in sorted(_definitions.items()) if known == name]
