"""deploy/grafana: every panel asks for metrics that exist, by labels that they have, and every metric has a panel."""

import json
import re
from itertools import combinations

import pytest
import yaml

from tests.architecture.tree import ROOT
from tests.deploy.promql.parser import Aggregation, Node, labels_kept, parse, selectors
from tests.deploy.series import SUFFIXES, known_labels, known_series
from tests.orders_project.test_metrics_documented import documented

FOLDER = ROOT / "deploy" / "grafana"
DASHBOARD = json.loads((FOLDER / "dashboards" / "orders.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [
    pytest.param(target, id=f"{panel['title']} {target['refId']}") for panel in PANELS for target in panel["targets"]
]
_IN_LEGEND = re.compile(r"\{\{(\w+)\}\}")


def kept(node: Node) -> set[str]:
    """The labels that a result may have."""
    if isinstance(node, Aggregation):
        return set(node.by)
    return labels_kept(node)


@pytest.mark.parametrize("target", TARGETS)
def test_every_panel_asks_for_metrics_and_labels_that_exist(target):
    node = parse(target["expr"])
    names = {one.name for one in selectors(node)}

    assert names
    assert names <= known_series()
    assert labels_kept(node) <= known_labels(names)


@pytest.mark.parametrize("target", TARGETS)
def test_every_legend_names_labels_that_are_left(target):
    assert set(_IN_LEGEND.findall(target["legendFormat"])) <= kept(parse(target["expr"]))


@pytest.mark.parametrize("target", TARGETS)
def test_counters_are_read_as_rates_and_gauges_are_not(target):
    """A counter as such only ever rises, and means nothing."""
    kinds = {name + suffix: kind for name, (kind, _) in documented().items() for suffix in SUFFIXES[kind]}
    for one in selectors(parse(target["expr"])):
        assert (one.range_seconds is not None) == (kinds[one.name] != "gauge"), one.name


def test_every_metric_can_be_seen():
    shown = {one.name for target in TARGETS for one in selectors(parse(target.values[0]["expr"]))}

    unseen = {
        name for name, (kind, _) in documented().items() if not shown & {name + suffix for suffix in SUFFIXES[kind]}
    }
    assert unseen == set()


def test_panels_have_ids_and_places_of_their_own():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    assert [(one, other) for one, other in combinations(places, 2) if _overlap(one, other)] == []


def test_every_panel_reads_from_a_source_that_is_provisioned():
    sources = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "orders.yml").read_text())["datasources"]
    known = {source["uid"]: source["type"] for source in sources}
    used = [panel["datasource"] for panel in PANELS]
    used += [target["datasource"] for panel in PANELS for target in panel["targets"]]

    assert all(known[source["uid"]] == source["type"] for source in used)


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not (beside or above)
