"""The project's Markdown pages, read once: their text, headings, code and links."""

import re
from dataclasses import dataclass
from functools import cache

from tests.architecture.tree import ROOT

_FENCE = re.compile(r"^(```+)(\w*)[^\n]*\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} (.+?)\s*$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Page:
    """One page; `path` is relative to the project's root."""

    path: str
    text: str

    @property
    def prose(self) -> str:
        """Without fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def anchors(self) -> set[str]:
        return {_anchor(heading) for heading in _HEADING.findall(self.prose)}

    @property
    def links(self) -> list[str]:
        return [link for link in _LINK.findall(self.prose) if not link.startswith(("http://", "https://", "mailto:"))]

    @property
    def inline_code(self) -> list[str]:
        return _CODE.findall(self.prose)

    def fences(self, language: str) -> list[str]:
        return [body for _, named, body in _FENCE.findall(self.text) if named == language]

    @property
    def code(self) -> list[str]:
        """Inline code and the lines of every fenced block."""
        return [*self.inline_code, *(line for _, _, body in _FENCE.findall(self.text) for line in body.splitlines())]


@cache
def pages() -> tuple[Page, ...]:
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return tuple(Page(path.relative_to(ROOT).as_posix(), path.read_text()) for path in sorted(found))


def page(path: str) -> Page:
    return next(one for one in pages() if one.path == path)


def _anchor(heading: str) -> str:
    """As GitHub makes it: lower case, spaces to hyphens, everything but letters, digits, - and _ dropped."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.replace("`", ""))
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
