"""Alerting rules over time: pending since an expression holds, firing once it held for long enough."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .evaluation import evaluate
from .parser import Node, parse, seconds
from .samples import Samples


@dataclass(frozen=True, kw_only=True)
class Rule:
    name: str
    expression: Node
    text: str
    for_seconds: float
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def load(path: Path) -> list[Rule]:
    """The rules of a file, in its order. Raises what is wrong with it."""
    return [
        Rule(
            name=given["alert"],
            expression=parse(given["expr"]),
            text=given["expr"],
            for_seconds=seconds(given.get("for", "0s")),
            labels=given["labels"],
            annotations=given["annotations"],
        )
        for group in yaml.safe_load(path.read_text())["groups"]
        for given in group["rules"]
    ]


def holds(rule: Rule, samples: Samples, moment: float) -> list[dict[str, str]]:
    """The label sets for which the rule's expression holds at this moment."""
    value = evaluate(rule.expression, samples, moment)
    assert isinstance(value, dict), f"{rule.name} is a number"
    return [dict(labels) for labels in value]


def firing(
    rules: Sequence[Rule], samples: Samples, *, until: float, every_seconds: float = 60
) -> list[tuple[str, dict[str, str]]]:
    """What fires at `until`: the rules are asked at every interval from 0 on. (alert, its labels)"""
    return [
        (rule.name, {**labels, **rule.labels})
        for rule in rules
        for labels in _firing(rule, samples, until=until, every_seconds=every_seconds)
    ]


def _firing(rule: Rule, samples: Samples, *, until: float, every_seconds: float) -> Iterator[dict[str, str]]:
    since: dict[Any, float] = {}
    for step in range(int(until // every_seconds) + 1):
        moment = step * every_seconds
        now = {frozenset(labels.items()) for labels in holds(rule, samples, moment)}
        since = {labels: since.get(labels, moment) for labels in now}
    yield from (dict(labels) for labels, began in since.items() if until - began >= rule.for_seconds)
