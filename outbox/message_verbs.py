"""The verbs on one message as the admin offers them: what each asks, shows before it acts, and says if it did nothing.

Guarantee: a verb that changed nothing says "already done" only when somebody did it before; else VerbRefused says why.
Not guaranteed: that what was shown still stands at the click; the operations look again, under the row's lock.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from . import dead_letters, editing, operations, registry, selectors
from .acts import Person
from .exceptions import PayloadRefused, VerbRefused
from .models import OutboxMessage
from .read_only_admin import page_link
from .verb import ReasonForm

ENDED = {OutboxMessage.State.DONE, OutboxMessage.State.SKIPPED}


class RequeueForm(ReasonForm):
    sent = forms.BooleanField(
        required=False,
        label="Also messages that are done or skipped",
        help_text="A consumer that has handled the message ignores it; a destination outside gets it again.",
    )


def requeue(key: UUID, *, who: Person, reason: str, sent: bool) -> bool:
    _refuse_sagas(key, states=list(OutboxMessage.State))
    return operations.requeue([key], who=who, reason=reason, sent=sent) > 0 or _done_before("requeue", key)


def skip(key: UUID, *, who: Person, reason: str) -> bool:
    _refuse_sagas(key, states=[OutboxMessage.State.OPEN])
    return operations.skip([key], who=who, reason=reason) > 0 or _done_before("skip", key)


def stands_at(message: OutboxMessage) -> str:
    """How it stands, for a proposal: a claim, a requeue and a skip each raise the epoch."""
    return f"{message.state}, epoch {message.epoch}"


def resume(name: str, *, who: Person, reason: str) -> bool:
    if operations.resume_destination(name, who=who, reason=reason):
        return True
    if not selectors.acted("resume", "destination", name):
        raise VerbRefused("not applicable: the destination is not paused.")
    return False


def _done_before(verb: str, key: UUID) -> bool:
    """False: a second click. Raises VerbRefused when nobody did this, and there is nothing to do it to."""
    state = OutboxMessage.objects.get(key=key).state
    reached = state == {"requeue": OutboxMessage.State.OPEN, "skip": OutboxMessage.State.SKIPPED}[verb]
    if reached and selectors.acted(verb, "outboxmessage", key):
        return False
    tick = "; tick the box to send it again" if verb == "requeue" and state in ENDED else ""
    raise VerbRefused(f"not applicable: the message is {state}{tick}.")


def _refuse_sagas(key: UUID, *, states: Sequence[str]) -> None:
    if OutboxMessage.objects.filter(key=key, order_free=True, state__in=states).exists():
        raise VerbRefused(editing.SAGA_MESSAGE)


class EditForm(ReasonForm):
    """Asked twice: what is written first is shown as a difference, and sent only when it was seen."""

    field_order = ("payload", "reason")
    payload = forms.CharField(
        label="Payload of the copy",
        strip=False,
        widget=forms.Textarea(attrs={"rows": 16, "cols": 90, "spellcheck": "false", "class": "payload-editor"}),
        help_text="JSON. A secret that is left masked (abcd…) stays what it was.",
    )
    key = forms.UUIDField(widget=forms.HiddenInput)
    shown = forms.CharField(required=False, widget=forms.HiddenInput)
    draft: editing.Draft | None = None

    @property
    def submit_label(self) -> str:
        return "Skip the dead message and send the copy" if self.draft else "Show the difference"

    def clean(self) -> dict[str, Any]:
        answers = super().clean() or {}
        key = answers.get("key")
        message = OutboxMessage.objects.filter(key=key).first() if key else None
        if message is None or "payload" not in answers:
            return answers
        try:
            draft = editing.draft(message, answers["payload"])
        except PayloadRefused as refusal:
            for sentence in refusal.sentences:
                self.add_error("payload", sentence)
            return answers
        if answers.get("shown") != draft.digest and "reason" in answers:
            self._show(draft)
            raise ValidationError("Nothing has been sent yet. Look at the difference, then send the copy.")
        return answers

    def answers(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("reason", "payload", "shown")}

    def _show(self, draft: editing.Draft) -> None:
        self.draft = draft
        self.data = {**{name: self.data[name] for name in self.data}, "shown": draft.digest}


def preview_requeue(messages: Sequence[OutboxMessage], form: forms.Form) -> SafeString:
    """What a requeue of these would run."""
    effects = dead_letters.preview_of([message.key for message in messages])
    alone = messages[0] if len(messages) == 1 else None
    holders = dead_letters.handled_by(alone.message_id) if alone else []
    return render_to_string(
        "outbox/dead_letters/effects.html", {"effects": effects, "alone": alone, "holders": holders}
    )


def preview_edit(messages: Sequence[OutboxMessage], form: forms.Form) -> SafeString:
    """Whether a copy can be sent, what knows the original, and the difference once there is one."""
    message = messages[0]
    return render_to_string(
        "outbox/dead_letters/edit.html",
        {
            "message": message,
            "refusal": editing.why_not(message),
            "is_known": registry.event_class(message.type) is not None,
            "handled": message.destination in dead_letters.handled_by(message.message_id),
            "draft": getattr(form, "draft", None),
        },
    )


def meant_by_edit(message: OutboxMessage, answers: Mapping[str, Any]) -> SafeString:
    """What a proposed copy changes, as whoever proposed it saw it."""
    context: dict[str, Any]
    try:
        context = {"differences": editing.draft(message, answers["payload"]).differences}
    except PayloadRefused as refusal:
        context = {"refusals": refusal.sentences}
    return render_to_string("outbox/dead_letters/difference.html", context)


def in_line(message: OutboxMessage) -> SafeString | str:
    """Behind whom a message waits, and how many wait behind it."""
    if message.state == OutboxMessage.State.OPEN and (ahead := dead_letters.ahead_of(message.key)):
        return format_html("waits behind {}, which is {}", _link(ahead), ahead.state)
    if behind := dead_letters.waiting(message.key):
        return f"{behind[0].count} waiting behind this message"
    return "nothing waits behind it"


def died_of(message: OutboxMessage) -> SafeString | str:
    """The group of a dead message; of one that was edited, its copy."""
    if message.state == OutboxMessage.State.DEAD and message.error_fingerprint:
        address = reverse("admin:outbox_deadletter_group", args=[message.error_fingerprint])
        when = f"{message.died_at:%Y-%m-%d %H:%M:%S} UTC, " if message.died_at else ""
        return format_html('{}<a href="{}">like these</a>', when, address)
    copy = editing.copy_of(message.key) if message.state == OutboxMessage.State.SKIPPED else None
    return page_link("outbox_outboxmessage", copy, "its edited copy was sent instead") if copy else "it is not dead"


def _link(other: dead_letters.Waiting) -> SafeString | str:
    return page_link("outbox_outboxmessage", other.key, f"{other.type} → {other.destination}")
