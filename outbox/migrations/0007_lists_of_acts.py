from django.db import migrations, models

from outbox.index_migrations import AddIndexBesideWriters


class Migration(migrations.Migration):
    # Beside a service that runs: no lock that a writer would wait for.
    atomic = False

    dependencies = [
        ('outbox', '0006_dead_letters_by_error'),
    ]

    operations = [
        # An index over millions takes longer than a request may.
        migrations.RunSQL('SET statement_timeout = 0', 'SET statement_timeout = 0'),
        AddIndexBesideWriters(
            model_name='operatoract',
            index=models.Index(fields=['acted_at', 'id'], name='operator_act_by_time'),
        ),
        AddIndexBesideWriters(
            model_name='operatoract',
            index=models.Index(condition=models.Q(('approved_by__isnull', False)), fields=['approved_by'], name='operator_act_by_approver'),
        ),
        AddIndexBesideWriters(
            model_name='proposal',
            index=models.Index(fields=['target_id'], name='proposal_by_target'),
        ),
        migrations.RunSQL('RESET statement_timeout', 'RESET statement_timeout'),
    ]
