"""The WSGI application that gunicorn serves; refuses to start on settings that would break a promise."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orders_project.settings")

application = get_wsgi_application()

# Only now are the settings and the apps loaded.
from orders_project.checks import refuse_unsafe_configuration  # noqa: E402

refuse_unsafe_configuration()
