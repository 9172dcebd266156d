"""Expressions of PromQL as trees. What our files do not use is a SyntaxError: subqueries, `@`, group_left, bool."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
AGGREGATIONS = ("sum", "max", "min", "avg", "count")
FUNCTIONS = ("rate", "increase", "deriv", "max_over_time", "absent", "histogram_quantile", "clamp_min")
COMPARISONS = ("==", "!=", ">", "<", ">=", "<=")
SETS = ("and", "or", "unless")
# Loosest first.
PRECEDENCE = (("or",), ("and", "unless"), COMPARISONS, ("+", "-"), ("*", "/"))
TOKEN = re.compile(
    r"""\s*(?:(?P<duration>\d+[smhd]\b)|(?P<number>\d+(?:\.\d+)?)|(?P<string>"[^"]*"|'[^']*')"""
    r"""|(?P<name>[a-zA-Z_][\w:]*|\$__rate_interval)|(?P<mark>=~|!~|==|!=|>=|<=|[-+*/<>=(){},\[\]]))"""
)


@dataclass(frozen=True, kw_only=True)
class Number:
    value: float


@dataclass(frozen=True, kw_only=True)
class Selector:
    """Series by name and matchers; with a range its samples of so many seconds."""

    name: str
    matchers: tuple[tuple[str, str, str], ...] = ()
    range_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Call:
    function: str
    arguments: tuple["Node", ...]


@dataclass(frozen=True, kw_only=True)
class Aggregation:
    """`by` None: no labels are kept."""

    function: str
    by: tuple[str, ...]
    inner: "Node"


@dataclass(frozen=True, kw_only=True)
class Binary:
    operator: str
    left: "Node"
    right: "Node"


Node = Number | Selector | Call | Aggregation | Binary


def parse(text: str) -> Node:
    """Raises SyntaxError."""
    parser = _Parser(text)
    node = parser.binary(0)
    if parser.at < len(parser.tokens):
        raise SyntaxError(f"{parser.tokens[parser.at]!r} is one too many in {text!r}")
    return node


def selectors(node: Node) -> Iterator[Selector]:
    match node:
        case Selector():
            yield node
        case Call(arguments=arguments):
            for argument in arguments:
                yield from selectors(argument)
        case Aggregation(inner=inner):
            yield from selectors(inner)
        case Binary(left=left, right=right):
            yield from selectors(left)
            yield from selectors(right)


def labels_kept(node: Node) -> set[str]:
    """Every label that an expression names: in matchers and in by()."""
    match node:
        case Selector(matchers=matchers):
            return {name for name, _, _ in matchers}
        case Call(arguments=arguments):
            return set().union(*(labels_kept(argument) for argument in arguments))
        case Aggregation(by=by, inner=inner):
            return {*by, *labels_kept(inner)}
        case Binary(left=left, right=right):
            return labels_kept(left) | labels_kept(right)
    return set()


def seconds(duration: str) -> float:
    """Of "5m"; what Grafana fills in counts as a minute."""
    if duration == "$__rate_interval":
        return 60
    return int(duration[:-1]) * UNITS[duration[-1]]


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.at = 0

    def binary(self, level: int) -> Node:
        if level == len(PRECEDENCE):
            return self.operand()
        node = self.binary(level + 1)
        while self.peek() in PRECEDENCE[level]:
            operator = self.take()
            node = Binary(operator=operator, left=node, right=self.binary(level + 1))
        return node

    def operand(self) -> Node:
        token = self.take()
        if token == "(":
            node = self.binary(0)
            self.take(")")
            return node
        if token[0].isdigit():
            return Number(value=float(token))
        if token in AGGREGATIONS:
            return self.aggregation(token)
        if self.peek() == "(":
            return self.call(token)
        return self.selector(token)

    def aggregation(self, function: str) -> Node:
        by = self.names("by")
        self.take("(")
        inner = self.binary(0)
        self.take(")")
        return Aggregation(function=function, by=by or self.names("by"), inner=inner)

    def names(self, keyword: str) -> tuple[str, ...]:
        if self.peek() != keyword:
            return ()
        self.take()
        self.take("(")
        found = []
        while self.peek() != ")":
            found.append(self.take())
            if self.peek() == ",":
                self.take()
        self.take(")")
        return tuple(found)

    def call(self, function: str) -> Node:
        if function not in FUNCTIONS:
            raise SyntaxError(f"no function {function!r} here: {self.text!r}")
        self.take("(")
        arguments = [self.binary(0)]
        while self.peek() == ",":
            self.take()
            arguments.append(self.binary(0))
        self.take(")")
        return Call(function=function, arguments=tuple(arguments))

    def selector(self, name: str) -> Node:
        if not re.fullmatch(r"[a-zA-Z_:][\w:]*", name):
            raise SyntaxError(f"{name!r} is no metric: {self.text!r}")
        matchers = []
        if self.peek() == "{":
            self.take()
            while self.peek() != "}":
                matchers.append((self.take(), self.take(), self.take()[1:-1]))
                if self.peek() == ",":
                    self.take()
            self.take("}")
        range_seconds = None
        if self.peek() == "[":
            self.take()
            range_seconds = seconds(self.take())
            self.take("]")
        return Selector(name=name, matchers=tuple(matchers), range_seconds=range_seconds)

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise SyntaxError(f"{wanted or 'something'!r} is missing before {token!r} in {self.text!r}")
        self.at += 1
        return token


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise SyntaxError(f"{text[at : at + 20]!r} is not understood")
        found.append(match[match.lastgroup])
        at = match.end()
    return found
