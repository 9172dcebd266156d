from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('sagas', '0004_rare_states'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='saga',
            options={'permissions': [('operate_saga', 'Can retry, resume, compensate and cancel sagas'), ('overrule_saga', 'Can skip steps of sagas, and resolve those whose outcome is unknown')]},
        ),
    ]
