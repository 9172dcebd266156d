"""The operator's verb on a difference: to answer for it.

Guarantee: one act, one record, in one transaction; a second click finds it done (F14). Not guaranteed: that it stays
resolved. When the same key is told in another way than the person saw, the difference is open again.
"""

from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from outbox import acts, selectors
from outbox.acts import Person
from outbox.exceptions import VerbRefused

from .models import Difference

RESOLUTION_MAX = 500


@transaction.atomic
def resolve(difference_id: UUID, *, who: Person, reason: str) -> bool:
    """A person looked into an open difference and answers for it; False when somebody did before.

    Raises VerbRefused for one that ended by itself, ValueError without a reason.
    """
    open_one = Difference.objects.filter(pk=difference_id, state=Difference.State.OPEN)
    resolution = reason.strip()[:RESOLUTION_MAX]
    if resolution and open_one.update(state=Difference.State.RESOLVED, resolution=resolution, ended_at=Now()):
        acts.act(who=who, verb="resolve", target=("difference", str(difference_id)), reason=reason)
        return True
    if not resolution:
        raise ValueError("An operator act needs a reason.")
    if not selectors.acted("resolve", "difference", difference_id):
        raise VerbRefused("not applicable: the difference is not open.")
    return False
