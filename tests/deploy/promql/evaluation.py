"""What an expression is worth at one moment, as Prometheus computes it."""

import math
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from .parser import COMPARISONS, SETS, Aggregation, Binary, Call, Node, Number, Selector
from .samples import Labels, Samples

Vector = dict[Labels, float]
Points = Sequence[tuple[float, float]]

COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le,
}  # fmt: skip
ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": lambda a, b: a / b if b else math.nan,
}  # fmt: skip
AGGREGATE: Mapping[str, Callable[[list[float]], float]] = {
    "sum": sum, "max": max, "min": min, "count": len, "avg": lambda values: sum(values) / len(values),
}  # fmt: skip


def evaluate(node: Node, samples: Samples, moment: float) -> Vector | float:
    match node:
        case Number(value=value):
            return value
        case Selector():
            found = samples.at(node.name, moment)
            return {labels: value for labels, value in found if _fits(labels, node)}
        case Aggregation():
            return _aggregate(node, _vector(node.inner, samples, moment))
        case Call():
            return _call(node, samples, moment)
        case Binary():
            return _binary(node.operator, evaluate(node.left, samples, moment), evaluate(node.right, samples, moment))


def _vector(node: Node, samples: Samples, moment: float) -> Vector:
    value = evaluate(node, samples, moment)
    assert isinstance(value, dict), f"a number where series are needed: {node}"
    return value


def _fits(labels: Labels, selector: Selector) -> bool:
    found = dict(labels)
    for name, how, wanted in selector.matchers:
        value = found.get(name, "")
        holds = re.fullmatch(wanted, value) is not None if "~" in how else value == wanted
        if holds == how.startswith("!"):
            return False
    return True


def _aggregate(node: Aggregation, inner: Vector) -> Vector:
    groups: dict[Labels, list[float]] = defaultdict(list)
    for labels, value in inner.items():
        groups[frozenset((name, value) for name, value in labels if name in node.by)].append(value)
    return {labels: float(AGGREGATE[node.function](values)) for labels, values in groups.items()}


def _call(node: Call, samples: Samples, moment: float) -> Vector:
    if node.function == "absent":
        return _absent(node.arguments[0], samples, moment)
    if node.function == "histogram_quantile":
        share, buckets = node.arguments
        assert isinstance(share, Number)
        return _quantiles(share.value, _vector(buckets, samples, moment))
    if node.function == "clamp_min":
        inner, least = node.arguments
        assert isinstance(least, Number)
        return {labels: max(value, least.value) for labels, value in _vector(inner, samples, moment).items()}
    return _over_time(node, samples, moment)


def _absent(inner: Node, samples: Samples, moment: float) -> Vector:
    """One series of 1 when there is none, with the labels that the selector insists on."""
    if _vector(inner, samples, moment):
        return {}
    matchers = inner.matchers if isinstance(inner, Selector) else ()
    return {frozenset((name, value) for name, how, value in matchers if how == "="): 1.0}


def _over_time(node: Call, samples: Samples, moment: float) -> Vector:
    (selector,) = node.arguments
    assert isinstance(selector, Selector)
    assert selector.range_seconds, f"{node.function} needs a range"
    found: Vector = {}
    for labels, points in samples.within(selector.name, moment, selector.range_seconds):
        if not _fits(labels, selector):
            continue
        if node.function == "max_over_time":
            found[labels] = max(value for _, value in points)
        elif len(points) > 1:
            end = (moment, selector.range_seconds)
            found[labels] = _slope(points) if node.function == "deriv" else _increase(points, end, node.function)
    return found


def _increase(points: Points, end: tuple[float, float], function: str) -> float:
    """With the resets of a counter added, and extended to the borders of the range where the samples come near them."""
    moment, seconds = end
    first, last = points[0], points[-1]
    resets = sum(before for (_, before), (_, value) in pairwise(points) if value < before)
    rise = last[1] - first[1] + resets
    sampled = last[0] - first[0]
    between = sampled / (len(points) - 1)
    to_start, to_end = first[0] - (moment - seconds), moment - last[0]
    if to_start >= between * 1.1:
        to_start = between / 2
    if rise > 0 and first[1] >= 0:
        to_start = min(to_start, sampled * first[1] / rise)
    if to_end >= between * 1.1:
        to_end = between / 2
    rise *= (sampled + to_start + to_end) / sampled
    return rise / seconds if function == "rate" else rise


def _slope(points: Points) -> float:
    """Of the straight line through the samples, a second."""
    times, values = [at for at, _ in points], [value for _, value in points]
    middle, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((at - middle) ** 2 for at in times)
    return sum((at - middle) * (value - mean) for at, value in points) / spread


def _quantiles(share: float, buckets: Vector) -> Vector:
    """Within the bucket that holds it, linear between its borders."""
    groups: dict[Labels, list[tuple[float, float]]] = defaultdict(list)
    for labels, count in buckets.items():
        bound = float(dict(labels)["le"])
        groups[frozenset(pair for pair in labels if pair[0] != "le")].append((bound, count))
    return {labels: _quantile(share, sorted(found)) for labels, found in groups.items()}


def _quantile(share: float, buckets: list[tuple[float, float]]) -> float:
    rank = share * buckets[-1][1]
    if not rank:
        return math.nan
    below_bound, below_count = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank:
            inside = count - below_count
            return (
                below_bound
                if math.isinf(bound)
                else below_bound + (bound - below_bound) * (rank - below_count) / inside
            )
        below_bound, below_count = bound, count
    return math.nan


def _binary(operator_: str, left: Vector | float, right: Vector | float) -> Vector | float:
    if operator_ in SETS:
        assert isinstance(left, dict)
        assert isinstance(right, dict)
        return _sets(operator_, left, right)
    if isinstance(left, dict) and isinstance(right, dict):
        pairs = {labels: (value, right[labels]) for labels, value in left.items() if labels in right}
    elif isinstance(left, dict):
        pairs = {labels: (value, float(right)) for labels, value in left.items()}  # type: ignore[arg-type]  # a number
    elif isinstance(right, dict):
        pairs = {labels: (left, value) for labels, value in right.items()}
    else:
        return ARITHMETIC[operator_](left, right)
    if operator_ in COMPARISONS:
        return {labels: pair[0] for labels, pair in pairs.items() if COMPARE[operator_](*pair)}
    return {labels: ARITHMETIC[operator_](*pair) for labels, pair in pairs.items()}


def _sets(operator_: str, left: Vector, right: Vector) -> Vector:
    if operator_ == "and":
        return {labels: value for labels, value in left.items() if labels in right}
    if operator_ == "unless":
        return {labels: value for labels, value in left.items() if labels not in right}
    return {**right, **left}
