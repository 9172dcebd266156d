"""What the saga engine says of itself to staff; it decides nothing."""

from collections.abc import Mapping
from typing import Any

from django.db import connection

from .telemetry import COUNTS


def details() -> Mapping[str, Any]:
    """Live sagas by name and status."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTS)
        return {"live": [{"saga": row[0], "status": row[1], "count": row[2]} for row in sorted(cursor.fetchall())]}
