from django.db import migrations, models

from outbox.index_migrations import AddIndexBesideWriters


class Migration(migrations.Migration):
    # Beside a service that runs: no lock that a writer would wait for.
    atomic = False

    dependencies = [
        ('outbox', '0005_dead_letters'),
    ]

    operations = [
        # An index over millions takes longer than a request may.
        migrations.RunSQL('SET statement_timeout = 0', 'SET statement_timeout = 0'),
        AddIndexBesideWriters(
            model_name='outboxmessage',
            index=models.Index(condition=models.Q(('state', 'dead')), fields=['error_fingerprint', 'key'], include=('destination', 'type', 'died_at', 'order_free'), name='outbox_dead_by_error'),
        ),
        AddIndexBesideWriters(
            model_name='outboxmessage',
            index=models.Index(condition=models.Q(('requeued_by__isnull', False)), fields=['requeued_by', 'state'], name='outbox_requeued'),
        ),
        migrations.RunSQL('RESET statement_timeout', 'RESET statement_timeout'),
    ]
