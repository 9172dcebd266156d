"""What a person may do to a row: the verb with its permission and its words, and what it asks before it is done.

Declares and decides nothing else: operator_admin.py offers verbs in the admin, command_line.py in a shell, proposals.py
has two persons agree on the dangerous ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import uuid_utils.compat as uuid_utils
from django import forms
from django.conf import settings
from django.utils.safestring import SafeString

from .exceptions import VerbRefused


class ReasonForm(forms.Form):
    """What every verb asks. A verb that asks for more extends it; its fields become the verb's keyword arguments."""

    # Who clicks twice, or sends the page again, sends the same one (once.py).
    form_id = forms.UUIDField(required=False, initial=uuid_utils.uuid7, widget=forms.HiddenInput)
    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2, "cols": 60}),
        help_text="Why; stands in the operator act for good.",
    )

    @property
    def submit_label(self) -> str:
        """What the button says; empty: the verb's label."""
        return ""

    def answers(self) -> dict[str, Any]:
        """The keyword arguments that the verb gets beside the row and the person; a dangerous verb's are plain JSON."""
        return {name: answer for name, answer in self.cleaned_data.items() if name != "form_id"}


def _stands_as_ever(row: Any) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One verb on one row: `perform(pk, who=…, reason=…, …)` tells whether it changed anything.

    `preview` shows what it would do to these rows, above the question. `refusals` are exceptions whose sentence is
    shown; what else is raised is a bug. A `dangerous` verb takes two persons while the two-person rule is on, and is
    for supervisors: it changes rows of our own Postgres and nothing else, and its permission is no harmless verb's.
    `meant` shows the second person what a proposal's answers come to; without it they are shown as JSON.
    `state_of` says in a few words how the row stands; a proposal about a row that stands otherwise by the time it is
    approved is refused.
    """

    name: str
    label: str
    permission: str
    explanation: str
    perform: Callable[..., bool]
    form: type[ReasonForm] = ReasonForm
    one_at_a_time: bool = False
    preview: Callable[[Sequence[Any], forms.Form], SafeString] | None = None
    refusals: tuple[type[Exception], ...] = (VerbRefused,)
    dangerous: bool = False
    meant: Callable[[Any, Mapping[str, Any]], SafeString] | None = None
    state_of: Callable[[Any], str] = _stands_as_ever

    @property
    def every_refusal(self) -> tuple[type[Exception], ...]:
        """Its own, and those of the two-person rule."""
        return (*self.refusals, VerbRefused)

    @property
    def takes_two(self) -> bool:
        """Whether it becomes a proposal, by the settings as they are."""
        return self.dangerous and bool(settings.OPERATOR_TWO_PERSON_RULE)
