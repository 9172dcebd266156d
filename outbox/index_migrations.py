"""Indexes of tables in use, as migrations build them: beside writers, and again after a build that was interrupted.

Guarantee: a build that died leaves nothing in the way. Postgres keeps its index, marked INVALID; the next `migrate`
drops that one and builds it anew, and leaves alone what the same migration had built before. Not guaranteed: anything
for two `migrate` at once; the second one fails.
"""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently

IS_VALID = """
SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE relname = %s AND pg_table_is_visible(pg_class.oid)
"""


class AddIndexBesideWriters(AddIndexConcurrently):
    """AddIndexConcurrently that can be run again: for a migration with `atomic = False`."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if not schema_editor.collect_sql:
            with schema_editor.connection.cursor() as cursor:
                cursor.execute(IS_VALID, [self.index.name])
                found = cursor.fetchone()
            if found == (True,):
                return
            if found:
                schema_editor.execute(f"DROP INDEX CONCURRENTLY {schema_editor.quote_name(self.index.name)}")
        super().database_forwards(app_label, schema_editor, from_state, to_state)
