"""The admin site itself: its titles, and the one page of a library that it must not have.

Guarantee: no page shows an API token: whoever reads one is its owner. `manage.py drf_create_token -r <user>` makes a
new one, which ends the old one.
"""

from django.contrib import admin
from rest_framework.authtoken import admin as _registers_tokens  # noqa: F401 - so that it is there to be taken away
from rest_framework.authtoken.models import TokenProxy

admin.site.unregister(TokenProxy)
admin.site.site_header = admin.site.site_title = "Orders"
admin.site.index_title = "Orders, and everything that is done for them"
# Lists need the width; the index, one click away, says the same.
admin.site.enable_nav_sidebar = False
