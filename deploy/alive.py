"""Health check of a container without HTTP: the process has said in Postgres, within 30 s, that it lives.

Reads the heartbeat that the process itself writes; costs one connection and one look-up by primary key.
"""

import os
import socket
import sys

import psycopg

SEEN_LATELY = "SELECT 1 FROM outbox_heartbeat WHERE process = %s AND seen_at > statement_timestamp() - interval '30 s'"


def main() -> int:
    name = f"{os.environ['PROCESS_NAME']}@{socket.gethostname()}"
    with psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=3) as connection:
        return 0 if connection.execute(SEEN_LATELY, [name]).fetchone() else 1


if __name__ == "__main__":
    sys.exit(main())
