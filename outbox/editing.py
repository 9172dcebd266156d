"""Edit a copy of a dead message and send it: the copy is a new message, the dead one is skipped.

Guarantee: the skip, the copy and the operator act with the difference commit together, once, however often it is
asked for (I4, I6). The copy has a message id of its own, names the old one as its cause, and takes its place before
what waits behind it (I12); it carries no sequence, which stays with the event that the old one told. Not guaranteed:
one effect (I5): a consumer that had handled the old message does not know the copy.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NoReturn
from uuid import UUID

import uuid_utils.compat as uuid_utils
from django.db import transaction

from . import acts, operations, registry, selectors, wakeup
from .acts import Person
from .differences import Difference, differences
from .exceptions import PayloadRefused, VerbRefused
from .masking import masked
from .models import OutboxMessage
from .payload_check import objections
from .publisher import PAYLOAD_MAX_BYTES
from .unmasking import unmasked

SAGA_MESSAGE = "A saga waits for this message, or did: use the saga's own verbs."
UNCHANGED = "Nothing was changed: to send it as it was, requeue it."
# As JSON writes it, and not a backslash before a "u".
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
LEFT_MASKED = (
    "it is masked, and whose secret stood here cannot be told any more: write it in full, or leave its object, and the "
    "number and order of the items around it, as they were."
)
UNSEEN = "the message or its copy has changed since the difference was shown: look again."


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a copy would carry, and how it differs from the dead message."""

    original: OutboxMessage
    payload: dict[str, Any]
    differences: Sequence[Difference]

    @property
    def digest(self) -> str:
        """Names exactly this difference, so that what is sent is what was shown."""
        told = json.dumps([str(self.original.key), self.original.payload, self.payload], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()


def text_of(message: OutboxMessage) -> str:
    """The payload as a person edits it: secrets masked; what is left masked stays what it was."""
    return json.dumps(masked(message.payload), indent=2, ensure_ascii=False)


def why_not(message: OutboxMessage) -> str:
    """Why no copy of this message can be edited, in a sentence; empty when it can."""
    if message.order_free:
        return SAGA_MESSAGE
    if message.state != OutboxMessage.State.DEAD:
        return f"not applicable: the message is {message.state}."
    return ""


def draft(message: OutboxMessage, text: str) -> Draft:
    """What would be sent. Raises PayloadRefused, with every objection to what was written."""
    whole = unmasked(_parsed(text), message.payload)
    payload = whole.data
    found = [f"{place}: {LEFT_MASKED}" for place in whole.left_masked] or _objections(message.type, payload)
    changed = list(differences(message.payload, payload))
    if not found and not changed:
        found = [UNCHANGED]
    if found:
        raise PayloadRefused(found)
    return Draft(original=message, payload=payload, differences=changed)


@transaction.atomic
def send_copy(key: UUID, *, who: Person, reason: str, payload: str, shown: str) -> bool:
    """Skips a dead message and publishes its edited copy in its place; False when that was done before.

    `shown` is the digest of the difference that the person saw. Raises VerbRefused, PayloadRefused.
    """
    original = OutboxMessage.objects.select_for_update().get(key=key)
    if original.state == OutboxMessage.State.SKIPPED and selectors.acted("edit", "outboxmessage", key):
        return False
    if refusal := why_not(original):
        raise VerbRefused(refusal)
    wanted = draft(original, payload)
    if wanted.digest != shown:
        raise VerbRefused(UNSEEN)
    copy = _publish(wanted)
    operations.skip([key], who=who, reason=f"replaced by its edited copy, message {copy.message_id}: {reason}")
    acts.act(
        who=who,
        verb="edit",
        target=("outboxmessage", str(key)),
        reason=reason,
        copy=str(copy.key),
        copy_message_id=str(copy.message_id),
        differences=[asdict(one) for one in wanted.differences],
    )
    wakeup.after_commit({copy.destination})
    return True


def copy_of(key: UUID) -> UUID | None:
    """The key of the copy that a person sent instead of this message; index operator_act_by_target."""
    return selectors.act_detail("edit", "outboxmessage", key).get("copy")


def _publish(wanted: Draft) -> OutboxMessage:
    was = wanted.original
    return OutboxMessage.objects.create(
        id=was.id,
        message_id=uuid_utils.uuid7(),
        destination=was.destination,
        type=was.type,
        aggregate_type=was.aggregate_type,
        aggregate_id=was.aggregate_id,
        correlation_id=was.correlation_id,
        payload=wanted.payload,
        headers={**was.headers, "causationId": str(was.message_id)},
        created_at=was.created_at,
    )


def _objections(message_type: str, payload: Any) -> list[str]:
    """By the event's class; of a type that this code does not know, only that it is an object."""
    if known := registry.event_class(message_type):
        return objections(known, payload)
    return [] if isinstance(payload, dict) else ["The payload: an object is expected."]


def _parsed(text: str) -> Any:
    try:
        payload = json.loads(text, object_pairs_hook=_members, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise PayloadRefused([f"This is no JSON: line {error.lineno}, column {error.colno}: {error.msg}."]) from error
    except RecursionError:
        raise PayloadRefused(["The JSON is nested too deeply."]) from None
    _storable(payload)
    return payload


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise PayloadRefused([f"{', '.join(sorted(repeated))}: a field may stand there only once."])
    return dict(pairs)


def _no_number(name: str) -> NoReturn:
    raise PayloadRefused([f"{name} is no number of JSON."])


def _storable(payload: Any) -> None:
    try:
        size = len(json.dumps(payload, ensure_ascii=False).encode())
    except UnicodeEncodeError:
        raise PayloadRefused(["Half a surrogate pair is no character."]) from None
    if NUL.search(json.dumps(payload)):
        raise PayloadRefused(["A NUL character cannot be stored."])
    if size > PAYLOAD_MAX_BYTES:
        raise PayloadRefused([f"{size:,} bytes, at most {PAYLOAD_MAX_BYTES:,}: send a reference instead."])
