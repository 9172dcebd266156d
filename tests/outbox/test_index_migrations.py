"""A migration that was interrupted while it built an index is run again, and ends with every index whole."""

import pytest
from django.apps import apps
from django.conf import settings
from django.db import IntegrityError, connection, models
from django.db.migrations.state import ProjectState
from django.utils import timezone

from outbox.index_migrations import AddIndexBesideWriters
from outbox.models import Tick

NAME = "test_ticks_by_time"
STATE = "SELECT indexrelid, indisvalid, indisunique FROM pg_index WHERE indexrelid = to_regclass(%s)"


def migrate() -> None:
    operation = AddIndexBesideWriters(model_name="tick", index=models.Index(fields=["ran_at"], name=NAME))
    before = ProjectState.from_apps(apps)
    after = before.clone()
    operation.state_forwards("outbox", after)
    with connection.schema_editor(atomic=False) as editor:
        operation.database_forwards("outbox", editor, before, after)


def index() -> tuple[int, bool, bool] | None:
    """(oid, whether it is whole, whether it is another one's)"""
    with connection.cursor() as cursor:
        cursor.execute(STATE, [NAME])
        row: tuple[int, bool, bool] | None = cursor.fetchone()
    return row


def interrupt_a_build() -> None:
    """A concurrent build that fails leaves its index, as one does whose session died."""
    now = timezone.now()
    Tick.objects.bulk_create([Tick(name="a", ran_at=now), Tick(name="b", ran_at=now)])
    with connection.cursor() as cursor, pytest.raises(IntegrityError):
        cursor.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {NAME} ON outbox_tick (ran_at)")


@pytest.mark.django_db(transaction=True)
def test_what_an_interrupted_build_left_is_dropped_and_built_anew_and_what_is_whole_stays():
    try:
        interrupt_a_build()
        left = index()
        assert left is not None
        assert left[1:] == (False, True)

        migrate()
        built = index()
        assert built is not None
        assert built[1:] == (True, False)
        assert built[0] != left[0]

        migrate()
        assert index() == built
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP INDEX IF EXISTS {NAME}")


def test_every_index_that_is_built_beside_writers_can_be_built_again():
    texts = [path.read_text() for path in settings.BASE_DIR.glob("*/migrations/0*.py")]
    assert any("AddIndexBesideWriters" in text for text in texts)
    assert not any("AddIndexConcurrently" in text for text in texts)
