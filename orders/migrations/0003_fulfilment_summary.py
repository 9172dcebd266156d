from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0002_announced_refunds'),
    ]

    operations = [
        migrations.AddField(
            model_name='order',
            name='fulfilment_summary',
            field=models.CharField(blank=True, db_default='', default='', max_length=500),
        ),
    ]
