"""The live page's own filters."""

import re

from django import template
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from operators import wording

register = template.Library()
register.filter("duration", wording.duration)
register.filter("count", wording.count)


@register.filter
def spoken(name: str) -> str:
    """ "needs_attention" as people say it."""
    return name.replace("_", " ")


@register.filter
def share(number: float | None, most: float) -> int:
    """How long a bar is, of 100; what is there at all is seen."""
    if not number or not most:
        return 0
    return max(1, min(100, round(100 * number / most)))


@register.filter
def breakable(name: str) -> SafeString:
    """A name such as "fulfil_order.charge_payment", which a narrow page may break at its points and underscores."""
    return format_html_join("", "{}<wbr>", ((part,) for part in re.findall(r"[^._]*[._]|[^._]+$", name)))
