"""What every admin page of the engine and of the domain shares: rows are looked at, never edited.

Guarantee: no page adds, changes or deletes a row; a search compares whole values with indexed columns, never LIKE; a
list counts at most 10,000 rows, and one whose filter has no index looks at its first 100,000. Changes are operator
verbs, with a reason (operator_admin.py). Not guaranteed: that every combination of filters has an index;
`statement_timeout` bounds what has none.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.admin.utils import get_fields_from_path
from django.contrib.admin.views.main import ERROR_FLAG, IGNORED_PARAMS, PAGE_VAR, SEARCH_VAR, ChangeList
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from .masking import masked
from .money import MoneyError, to_decimal_string
from .selectors import UNINDEXED_ROWS_MAX, newest

COUNTED_ROWS_MAX = 10_000
BRIEF_CHARACTERS = 60
# What an address of a list may hold besides.
NO_FILTERS = {*IGNORED_PARAMS, PAGE_VAR, ERROR_FLAG}


class BoundedPaginator(Paginator):
    """Pages that count no further than `COUNTED_ROWS_MAX`: beyond it, a search or a filter is the way.

    In the list's order: its index is walked from the newest. Without an order the table would be read from its oldest
    page, where nothing of what is recent is found.
    """

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.values("pk")[:COUNTED_ROWS_MAX].count())


class BoundedChangeList(ChangeList):
    """A list whose filter has no index looks at the newest rows only."""

    model_admin: "ReadOnlyAdmin"

    def get_queryset(self, request: HttpRequest, *args: Any, **options: Any) -> QuerySet[Any]:
        rows = super().get_queryset(request, *args, **options)
        return rows if self.model_admin.reads_by_index(request) else newest(rows, order=self.model_admin.ordering[0])


class PlainChoices(admin.ChoicesFieldListFilter):
    """A filter whose values are written like sentences ("Needs attention"), as in every other filter here."""

    def choices(self, changelist: Any) -> Any:
        for choice in super().choices(changelist):
            yield {**choice, "display": str(choice["display"]).capitalize()}


class ReadOnlyAdmin(admin.ModelAdmin):
    """A list by primary key, newest first (UUIDv7), and a page per row. `search_fields` are whole values.

    An own `ordering` begins with a column that has an index.
    """

    ordering: ClassVar[tuple[str, ...]] = ("-pk",)
    # Sorting a big table by a column without an index is a way to stop it.
    sortable_by: ClassVar[tuple[str, ...] | None] = ()
    list_per_page = 50
    list_max_show_all = 100
    show_full_result_count = False
    # A count per filter value is a scan of the table each.
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator

    class Media:
        css = {"all": ("outbox/read_only_admin.css",)}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        return [self._filter(chosen) for chosen in super().get_list_filter(request)]

    def _filter(self, chosen: Any) -> Any:
        has_choices = isinstance(chosen, str) and getattr(self.model._meta.get_field(chosen), "choices", None)
        return (chosen, PlainChoices) if has_choices else chosen

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return BoundedChangeList

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.reads_by_index(request):
            which = "newest" if self.ordering[0].startswith("-") else "first"
            messages.info(request, f"No index serves this filter: it looks at the {which} {UNINDEXED_ROWS_MAX:,} rows.")
        return super().changelist_view(request, extra_context)

    def reads_by_index(self, request: HttpRequest) -> bool:
        """Whether an index finds what the list is asked for; a search always has one."""
        chosen = {name: str(value) for name, value in request.GET.items() if name not in NO_FILTERS}
        return bool(request.GET.get(SEARCH_VAR, "").strip()) or self.filters_by_index(chosen)

    def filters_by_index(self, chosen: Mapping[str, str]) -> bool:
        """Whether an index serves these filters (or nearly every row is wanted)."""
        return True

    @admin.display(description="id")
    def identity(self, row: Any) -> SafeString:
        return short(row.pk)

    @admin.display(description="last error")
    def error_in_brief(self, row: Any) -> SafeString:
        return brief(row.last_error)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Rows one of whose search fields is one of the words. Django's own would cast a UUID column to text."""
        words = search_term.split()
        return (queryset.filter(self.search(words)) if words else queryset), False

    def search(self, words: Sequence[str]) -> Q:
        """What a search for these words matches; a word that a field cannot hold is not looked for in it."""
        found = Q(pk__in=[])
        for path in self.search_fields:
            field = get_fields_from_path(self.model, path)[-1]
            values = [value for word in words if (value := _value(field, word)) is not None]
            if values:
                found |= Q(**{f"{path}__in": values})
        return found


def page_link(page: str, identity: object, text: object | None = None) -> SafeString | str:
    """A link to one row's page, such as "orders_order"; only the text where that app shows nothing."""
    return _anchor(_address(f"admin:{page}_change", identity), identity if text is None else text)


def short(identity: object) -> SafeString:
    """An id: all of it on a page; in a list its time and its end, where ids of one moment differ, and all on hover."""
    text = str(identity)
    return format_html(
        '<span class="id-in-list" title="{0}">{1}…{2}</span><span class="id-on-page">{0}</span>',
        text,
        text[:8],
        text[-4:],
    )


def brief(text: str) -> SafeString:
    """An error for a column beside others; all of it on hover."""
    return format_html('<span title="{}">{}</span>', text, Truncator(text).chars(BRIEF_CHARACTERS))


def amount(minor: int, currency: str) -> str:
    """Money for people: "9.99 EUR"; in minor units where nobody knows the currency."""
    try:
        return f"{to_decimal_string(minor, currency)} {currency}"
    except MoneyError:
        return f"{minor} minor units of {currency or 'no currency'}"


def list_link(page: str, text: object, **query: object) -> SafeString | str:
    """A link to a list, searched (`q=…`) or filtered."""
    address = _address(f"admin:{page}_changelist")
    return _anchor(f"{address}?{urlencode(query)}" if address and query else address, text)


def timeline_link(order_id: object) -> SafeString | str:
    """The story of an order, where orders are shown."""
    return _anchor(_address("admin:orders_order_timeline", order_id), "timeline")


def acts_link(target_type: str, target_id: object) -> SafeString | str:
    """What operators did to this row."""
    return list_link("outbox_operatoract", "operator acts", target_type=target_type, target_id=target_id)


def joined(*links: SafeString | str) -> SafeString:
    """Several links in one cell."""
    return format_html_join(" · ", "{}", ((link,) for link in links))


def pretty_json(data: Mapping[str, Any] | Sequence[Any]) -> SafeString:
    """JSON for people, secrets masked."""
    return format_html("<pre style='margin:0'>{}</pre>", json.dumps(masked(data), indent=2, ensure_ascii=False))


def _address(name: str, *identity: object) -> str:
    try:
        return reverse(name, args=identity)
    except NoReverseMatch:
        return ""


def _anchor(address: str, text: object) -> SafeString | str:
    return format_html('<a href="{}">{}</a>', address, text) if address else str(text)


def _value(field: Any, word: str) -> Any:
    try:
        return field.to_python(word)
    except ValidationError:
        return None
