"""The table guard → promise → caught by, for a terminal."""

from collections.abc import Iterator, Sequence

from .judge import Verdict

SAYS_MAX = 90


def render(verdicts: Sequence[Verdict]) -> str:
    caught = sum(1 for verdict in verdicts if verdict.holds)
    lines = [line for verdict in verdicts for line in _lines(verdict)]
    return "\n".join([*lines, "", f"{caught} of {len(verdicts)} guards, each removed once, were caught."])


def _lines(verdict: Verdict) -> Iterator[str]:
    yield f"{verdict.guard} ({verdict.promises}): {verdict.guards}"
    for catch in verdict.caught_by:
        yield f"    caught by   {_short(catch.test)}"
        yield f"                {catch.exception}: {catch.says[:SAYS_MAX]}"
    for held in verdict.also_held:
        yield f"    also held   without {held.without} alone, by {held.by}: {', '.join(map(_short, held.tests))}"
    for complaint in verdict.complaints:
        yield f"    NOT CAUGHT  {complaint}"


def _short(test: str) -> str:
    """A node id without what every one of them begins with."""
    return test.removeprefix("tests/")
