"""Which id a saga has: derived from its name and its subject, so that a saga that is begun again is the same one.

Guarantee: whoever begins the fulfilment of an order, and whenever, begins it under one id, and so asks providers under
the keys that they know (I3), also after a restore from a backup that was taken before the saga had begun. Ids rise
with the moment in the subject's id. Not guaranteed: either, for a subject whose own id is no UUIDv7.
"""

from uuid import UUID, uuid5

import uuid_utils.compat as uuid_utils

# Ours, and never to be changed: providers know the keys that were made with it.
NAMESPACE = UUID("7f0c1c8e-2b52-5c0e-9a43-5d1d3b7f6e21")
# RFC 9562: a UUIDv7 begins with 48 bits of milliseconds; 4 bits of version and 2 of variant stand further behind.
MOMENT = ((1 << 48) - 1) << 80
VERSION, VERSION_7 = 0xF << 76, 7 << 76


def saga_id(name: str, subject_id: UUID) -> UUID:
    """The id of this subject's saga of this name: the subject's moment, and what else makes it the only one."""
    if subject_id.version != 7:
        return uuid_utils.uuid7()
    derived = uuid5(NAMESPACE, f"{name} {subject_id}").int
    return UUID(int=subject_id.int & MOMENT | derived & ~(MOMENT | VERSION) | VERSION_7)
