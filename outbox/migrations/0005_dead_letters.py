import django.db.models.deletion
import django.db.models.functions.datetime
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('outbox', '0004_proposals'),
    ]

    operations = [
        # Each has its default in the catalogue: no row is written anew, and code that does not know them goes on.
        migrations.AddField(
            model_name='outboxmessage',
            name='error_fingerprint',
            field=models.CharField(blank=True, db_default='', max_length=12),
        ),
        migrations.AddField(
            model_name='outboxmessage',
            name='died_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='outboxmessage',
            name='requeued_by',
            field=models.UUIDField(null=True),
        ),
        migrations.AlterModelOptions(
            name='outboxmessage',
            options={'permissions': [('requeue_outboxmessage', 'Can make a dead, done or skipped message due again'), ('skip_outboxmessage', 'Can end a message undone'), ('edit_outboxmessage', 'Can send an edited copy of a dead message')]},
        ),
        migrations.CreateModel(
            name='DeadLetter',
            fields=[],
            options={
                'proxy': True,
                'default_permissions': (),
                'indexes': [],
                'constraints': [],
            },
            bases=('outbox.outboxmessage',),
        ),
        migrations.CreateModel(
            name='RequeueOrder',
            fields=[
                ('id', models.UUIDField(default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False)),
                ('reason', models.CharField(max_length=500)),
                ('error_fingerprint', models.CharField(blank=True, default='', max_length=12)),
                ('error_pattern', models.CharField(blank=True, default='', max_length=300)),
                ('destination', models.CharField(blank=True, default='', max_length=100)),
                ('type', models.CharField(blank=True, default='', max_length=100)),
                ('rate_per_second', models.SmallIntegerField()),
                ('status', models.CharField(choices=[('open', 'Open'), ('paused', 'Paused'), ('done', 'Done'), ('cancelled', 'Cancelled')], default='open', max_length=9)),
                ('found', models.IntegerField()),
                ('requeued', models.IntegerField(default=0)),
                ('ordered_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('paced_until', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('ended_at', models.DateTimeField(null=True)),
                ('who', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(condition=models.Q(('status__in', ['open', 'paused'])), fields=('error_fingerprint', 'destination', 'type'), name='one_requeue_order_under_way_per_choice'), models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='a_requeue_order_has_a_reason'), models.CheckConstraint(condition=models.Q(('rate_per_second__range', (1, 1000))), name='a_requeue_order_has_a_rate'), models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('status__in', ['open', 'paused'])), models.Q(('ended_at__isnull', False), ('status__in', ['done', 'cancelled'])), _connector='OR'), name='a_requeue_order_has_ended_if_and_only_if_it_is_over'), models.CheckConstraint(condition=models.Q(('found__gte', 0), ('requeued__gte', 0)), name='a_requeue_orders_counts_are_not_negative')],
            },
        ),
    ]
