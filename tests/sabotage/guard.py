"""What is known of a guard: which promise it keeps, how it is removed, which tests notice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .removal import Removal

# How a test tells that a promise is broken. Anything else (a NameError in an edit, an error of SQL) is no catch.
CATCHES = ("AssertionError", "Failed", "IntegrityError")

CODE = "code"
POSTGRES = "Postgres"


@dataclass(frozen=True, kw_only=True)
class Guard:
    """One guard. Removing it takes out every layer of it.

    `caught_by`: node ids under tests/, of which at least one must fail. `alone`: by layer, tests that still pass when
    only that layer is gone, because another holds ("also held by"); `beside` names one that is no layer of this guard.
    `shows_as`: further exceptions that tell it.
    """

    name: str
    promises: str
    guards: str
    layers: Mapping[str, Sequence[Removal]]
    caught_by: Sequence[str]
    alone: Mapping[str, Sequence[str]] = field(default_factory=dict)
    beside: str = ""
    shows_as: Sequence[str] = ()

    def removals(self, layer: str | None = None) -> list[Removal]:
        """Those of one layer, or all."""
        return [one for name, some in self.layers.items() if layer in {None, name} for one in some]

    def catches(self, exception: str) -> bool:
        return exception in {*CATCHES, *self.shows_as}
