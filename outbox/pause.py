"""Breaker of a destination: while it is paused nothing of it is rung, claimed or sent, and no attempt is burnt.

Not truth: a pause ends by the clock, and one that is lost costs a trial.
"""

from datetime import datetime, timedelta

from django.db.models import DateTimeField, F, Value
from django.db.models.functions import Least, Now

from .error_text import one_line
from .models import Destination

FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=60)
# A breaker may be closed by hand, or by the trial of another destination of the same provider.
LOOK_AGAIN = timedelta(seconds=5)


def pause(name: str, *, until: datetime, reason: str) -> None:
    """Pauses a destination until then, or until it is time to look whether the reason still holds."""
    ends = Least(Value(until, output_field=DateTimeField()), Now() + LOOK_AGAIN)
    Destination.objects.update_or_create(name=name, defaults={"paused_until": ends, "pause_reason": one_line(reason)})


def pause_after_failure(name: str, *, reason: str) -> timedelta:
    """Pauses a destination that just failed as a whole: 1 s, doubling to 60 s while it keeps failing."""
    bell, _ = Destination.objects.get_or_create(name=name)
    length: timedelta = min(FIRST_PAUSE * 2 ** min(bell.pauses, 10), LONGEST_PAUSE)
    Destination.objects.filter(name=name).update(
        paused_until=Now() + length, pauses=F("pauses") + 1, pause_reason=one_line(reason)
    )
    return length


def resume(name: str) -> None:
    """Ends a pause; called when the destination took something, or by an operator."""
    Destination.objects.filter(name=name, pauses__gt=0).update(paused_until=None, pauses=0, pause_reason="")


def is_paused(name: str) -> bool:
    return Destination.objects.filter(name=name, paused_until__gt=Now()).exists()


def reason_of(name: str) -> str:
    """Why nothing of it runs at the moment; "" when something may. A breaker's pause ends each time it is looked at."""
    paused = Destination.objects.filter(name=name, paused_until__gt=Now() - LOOK_AGAIN)
    return paused.values_list("pause_reason", flat=True).first() or ""
