"""Reads the heartbeats that processes leave in Postgres, with the database's own clock.

Does not need Django: the supervisor and the tests look from outside.
"""

import socket
from dataclasses import dataclass, field
from datetime import datetime

import psycopg

SEEN_SINCE = "SELECT 1 FROM outbox_heartbeat WHERE process = %s AND seen_at >= %s"  # by primary key


@dataclass(frozen=True)
class Heartbeats:
    """Of all processes over one database."""

    database_url: str = field(repr=False)

    def now(self) -> datetime:
        """The database's clock: what is seen later was written after this moment."""
        with psycopg.connect(self.database_url, connect_timeout=3) as connection:
            row = connection.execute("SELECT statement_timestamp()").fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM answers one row
        moment: datetime = row[0]
        return moment

    def seen_since(self, process_name: str, moment: datetime) -> bool:
        try:
            with psycopg.connect(self.database_url, connect_timeout=3) as connection:
                name = f"{process_name}@{socket.gethostname()}"
                return connection.execute(SEEN_SINCE, [name, moment]).fetchone() is not None
        except psycopg.Error:
            return False
