"""Reading a provider's own listing: page by page, oldest first, as far as whoever consumes it wants to read.

Guarantees that entries come in the provider's order, each once, and that what ends without an error has been read to
its end. Does not guarantee one moment: what is added behind the cursor while it is read comes too.
"""

from collections.abc import Iterator
from typing import Any

from providers import answers
from providers.client import ProviderClient


def entries(client: ProviderClient, path: str, *, after: str, key: str, page_size: int) -> Iterator[dict[str, Any]]:
    """Entries behind the one with id `after`; with a key, what stands under it. Raises Unavailable, OutcomeUnknown."""
    while True:
        asked = {"idempotency_key": key} if key else {"after": after, "limit": str(page_size)}
        page = client.request("GET", path, params=asked)
        found = answers.objects(page, "data")
        yield from found
        if page.get("has_more") is not True or not found:
            return
        after = answers.text(found[-1], "id")
