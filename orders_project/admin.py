"""The admin site itself: its titles, accounts, and the one page of a library that it must not have.

Guarantee: no page shows an API token: whoever reads one is its owner. `manage.py drf_create_token -r <user>` makes a
new one, which ends the old one. Customers are accounts too, so the list of accounts is bounded like every other one.
"""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from rest_framework.authtoken import admin as _registers_tokens  # noqa: F401 - so that it is there to be taken away
from rest_framework.authtoken.models import TokenProxy

from outbox.read_only_admin import BoundedPaginator

# Of one group; people who operate are few.
MEMBERS_MAX = 1_000

admin.site.unregister([TokenProxy, User])
admin.site.site_header = admin.site.site_title = "Orders"
admin.site.index_title = "Orders, and everything that is done for them"
# Lists need the width; the index, one click away, says the same.
admin.site.enable_nav_sidebar = False


class GroupFilter(admin.SimpleListFilter):
    """Who operates, by group (create_groups). Django's own filter would sort the accounts."""

    title = "group"
    parameter_name = "group"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(pk), name) for pk, name in Group.objects.order_by("name").values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        chosen = self.value()
        if chosen is None or not chosen.isdecimal():
            return queryset
        members = User.groups.through.objects.filter(group_id=int(chosen)).values_list("user_id", flat=True)
        return queryset.filter(pk__in=list(members[:MEMBERS_MAX]))


@admin.register(User)
class AccountAdmin(UserAdmin):
    """Django's own page of an account, and a list that reads by index: of everybody's flags there is none."""

    list_filter: ClassVar[tuple[Any, ...]] = (GroupFilter,)
    # Says that there is a search; get_search_results answers it.
    search_fields: ClassVar[tuple[str, ...]] = ("username",)
    search_help_text = "User names, in full."
    sortable_by: ClassVar[tuple[str, ...]] = ()
    list_per_page = 50
    list_max_show_all = 100
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Accounts of these names. Django's own would look into the middle of each name."""
        words = search_term.split()
        return (queryset.filter(username__in=words) if words else queryset), False
