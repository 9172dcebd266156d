"""deploy/prometheus: each alert fires on what it is for, is silent on a healthy service, and leads to its section.

alerts_test.yml is written for Prometheus' own promtool; where that is not installed our evaluator says the same.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.tree import ROOT
from tests.deploy.promql import alerts
from tests.deploy.promql.parser import labels_kept, seconds, selectors
from tests.deploy.promql.samples import Samples
from tests.deploy.series import known_labels, known_series
from tests.docs.pages import page

FOLDER = ROOT / "deploy" / "prometheus"
RULES = alerts.load(FOLDER / "alerts.yml")
TESTS = yaml.safe_load((FOLDER / "alerts_test.yml").read_text())
FROM_THE_TARGET = {"job", "instance"}
_FIRING = re.compile(r'ALERTS(?:\{alertname="(\w+)", alertstate="firing"\})?')
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_IN_TEXT = re.compile(r"\{\{ \$labels\.(\w+) \}\}")


@dataclass(frozen=True)
class Question:
    """One question of alerts_test.yml: what of one alert, or of all, fires after so many seconds."""

    title: str
    series: list[dict[str, str]]
    alert: str | None
    after_seconds: float
    expected: list[dict[str, str]]

    def samples(self) -> Samples:
        samples = Samples()
        for one in self.series:
            samples.write(one["series"], one["values"], every_seconds=60)
        return samples


def _questions() -> Iterator[Any]:
    for test in TESTS["tests"]:
        for asked in test["promql_expr_test"]:
            expected = [dict(_LABEL.findall(sample["labels"])) for sample in asked["exp_samples"]]
            alert = _FIRING.fullmatch(asked["expr"])
            assert alert, f"not a question about alerts: {asked['expr']}"
            question = Question(test["name"], test["input_series"], alert[1], seconds(asked["eval_time"]), expected)
            yield pytest.param(question, id=f"{test['name']}, after {asked['eval_time']}")


@pytest.mark.parametrize("question", list(_questions()))
def test_what_fires_is_what_the_tests_of_promtool_say(question: Question):
    rules = [rule for rule in RULES if question.alert in (None, rule.name)]
    assert rules

    fired = alerts.firing(rules, question.samples(), until=question.after_seconds)

    said = [{"alertname": name, "alertstate": "firing", **labels} for name, labels in fired]
    assert sorted(said, key=str) == sorted(question.expected, key=str)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_alert_is_shown_to_fire_and_to_be_silent(rule):
    asked = [question.values[0] for question in _questions() if question.values[0].alert in (None, rule.name)]

    assert any(question.expected for question in asked)
    assert any(question.alert is None and not question.expected for question in asked)
    healthy = next(question for question in asked if question.alert is None).samples()
    # Silence about series that are not there would prove nothing.
    assert {one.name for one in selectors(rule.expression)} <= {name for name, _ in healthy.series}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_alert_says_what_happens_and_leads_to_its_section(rule):
    assert set(rule.annotations) == {"summary", "description", "runbook"}
    path, _, anchor = rule.annotations["runbook"].partition("#")
    assert (path, anchor) == ("docs/alerts.md", rule.name.lower())
    assert anchor in page(path).anchors
    assert rule.labels["severity"] in {"page", "ticket"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_label_in_a_text_is_one_that_the_alert_has(rule):
    named = set(_IN_TEXT.findall(" ".join(rule.annotations.values())))
    fired = [
        labels
        for question in (question.values[0] for question in _questions())
        if question.alert == rule.name
        for labels in question.expected
    ]

    assert all(named <= set(labels) for labels in fired)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_alert_is_about_metrics_and_labels_that_exist(rule):
    names = {one.name for one in selectors(rule.expression)} - {"up"}
    assert names <= known_series()
    assert labels_kept(rule.expression) <= known_labels(names) | FROM_THE_TARGET


def test_every_section_is_about_an_alert_and_names_what_helps():
    text = page("docs/alerts.md").text
    sections = re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)

    assert [name for name, _ in sections] == [rule.name for rule in RULES]
    for name, body in sections:
        for part in ("**It means**", "**Look**", "**Do**"):
            assert part in body, name


def test_promtool_agrees_where_it_is_installed():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    for command in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run([promtool, *command], cwd=FOLDER, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_reads_the_rules_that_are_mounted():
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())

    assert [Path(name).name for name in config["rule_files"]] == ["alerts.yml"]
