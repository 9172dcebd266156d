from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0003_audit_windows'),
    ]

    operations = [
        migrations.AddField(
            model_name='position',
            name='awaited',
            field=models.JSONField(db_default=[], default=list),
        ),
    ]
