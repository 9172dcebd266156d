from django.db import migrations, models

from outbox.index_migrations import AddIndexBesideWriters


class Migration(migrations.Migration):
    # Beside a service that runs: no lock that a writer would wait for.
    atomic = False

    dependencies = [
        ('sagas', '0003_undo_refusals'),
    ]

    operations = [
        # An index over millions takes longer than a request may.
        migrations.RunSQL('SET statement_timeout = 0', 'SET statement_timeout = 0'),
        AddIndexBesideWriters(
            model_name='saga',
            index=models.Index(condition=models.Q(('status', 'compensated')), fields=['id'], name='saga_compensated'),
        ),
        AddIndexBesideWriters(
            model_name='saga',
            index=models.Index(condition=models.Q(('direction', 'backward')), fields=['id'], name='saga_backward'),
        ),
        migrations.RunSQL('RESET statement_timeout', 'RESET statement_timeout'),
    ]
