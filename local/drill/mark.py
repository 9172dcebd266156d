"""The mark that says "this database is a drill's own": a comment on the database, read before anything is done to it.

Guarantees that an unmarked database is refused with a sentence that says what to do; nothing of it is read or changed.
"""

import psycopg
from psycopg import sql

from local.errors import LocalError
from local.screen import one_line

MARK = "a drill's own: everything in it is deleted"
READ = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"


class NotMarked(LocalError):
    """The database does not say that a drill may have it."""


def put(database_url: str) -> None:
    """Marks a database that the drill has just made."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(MARK)))


def insist(database_url: str) -> None:
    """Raises NotMarked, or a LocalError when the database cannot be asked."""
    try:
        with psycopg.connect(database_url, connect_timeout=5) as connection:
            row, name = connection.execute(READ).fetchone(), connection.info.dbname
    except psycopg.Error as error:
        raise LocalError(f"The Postgres that --database-url names cannot be used: {one_line(str(error))}") from None
    if row is None or row[0] != MARK:
        quoted = MARK.replace("'", "''")
        raise NotMarked(
            f"The database {name} is not marked as a drill's own, and a drill deletes everything in it. If you "
            f"mean it, say so there first: COMMENT ON DATABASE {name} IS '{quoted}';"
        )


def empty(database_url: str) -> None:
    """Only for a marked database: a drill begins with nothing."""
    insist(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
