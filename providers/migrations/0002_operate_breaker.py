from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('providers', '0001_initial'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='breaker',
            options={'ordering': ['provider'], 'permissions': [('operate_breaker', 'Can open, close and try a breaker by hand')]},
        ),
    ]
