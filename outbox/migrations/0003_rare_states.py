from django.db import migrations, models

from outbox.index_migrations import AddIndexBesideWriters


class Migration(migrations.Migration):
    # Beside a service that runs: no lock that a writer would wait for.
    atomic = False

    dependencies = [
        ('outbox', '0002_operators'),
    ]

    operations = [
        # An index over millions takes longer than a request may.
        migrations.RunSQL('SET statement_timeout = 0', 'SET statement_timeout = 0'),
        AddIndexBesideWriters(
            model_name='outboxmessage',
            index=models.Index(condition=models.Q(('state', 'skipped')), fields=['key'], name='outbox_skipped'),
        ),
        migrations.RunSQL('RESET statement_timeout', 'RESET statement_timeout'),
    ]
