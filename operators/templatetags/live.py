"""The live page's own filters."""

from django import template

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
