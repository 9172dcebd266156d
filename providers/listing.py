"""Reading a provider's own listing: page by page, oldest first, as far as whoever consumes it wants to read.

Guarantees that entries come in the provider's order, each once, and that what ends without an error has been read to
its end: a page that leads nowhere is OutcomeUnknown. Does not guarantee one moment: what is added behind the cursor
while it is read comes too.
"""

from collections.abc import Iterator
from typing import Any

from providers import answers
from providers.client import ProviderClient
from providers.errors import OutcomeUnknown


def entries(client: ProviderClient, path: str, *, after: str, key: str, page_size: int) -> Iterator[dict[str, Any]]:
    """Entries behind the one with id `after`; with a key, what stands under it. Raises Unavailable, OutcomeUnknown."""
    while True:
        asked = {"idempotency_key": key} if key else {"after": after, "limit": str(page_size)}
        page = client.request("GET", path, params=asked)
        found = answers.objects(page, "data")
        yield from found
        if page.get("has_more") is not True:
            return
        after = _next_cursor(found, key=key, after=after)


def _next_cursor(found: list[dict[str, Any]], *, key: str, after: str) -> str:
    """Where the next page begins. More of one key, or more behind the same entry, would be asked for without end."""
    cursor = answers.text(found[-1], "id") if found else after
    if key or cursor == after:
        raise OutcomeUnknown("the listing says that there is more, and its cursor does not move")
    return cursor
