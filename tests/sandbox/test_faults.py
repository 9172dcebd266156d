"""The names of faults, and that every one of them is documented."""

import re

import pytest

from local.folder import PROJECT_DIR
from local.sandbox import faults
from local.sandbox.faults import Fault, Moods


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("drop-reply", Fault(name="drop_reply")),
        ("DROP_REPLY", Fault(name="drop_reply")),
        ("5xx_once", Fault(name="5xx", once=True)),
        ("429", Fault(name="429")),
        ("late_25", Fault(name="late", seconds=25.0)),
        ("slow_2_once", Fault(name="slow", seconds=2.0, once=True)),
        ("late", Fault(name="late", seconds=2.0)),
        ("declined", Fault(name="refused")),
        ("visa", None),
        ("", None),
        ("late_x", None),
    ],
)
def test_a_name_is_read_however_it_is_written(text, fault):
    assert faults.parse(text) == fault


def test_tokens_and_skus_ask_for_faults_by_their_prefix():
    assert faults.of_token("tok_hang") == Fault(name="hang", seconds=30.0)
    assert faults.of_token("tok_refund_hang") is None
    assert faults.of_token("tok_refund_hang", prefix="refund_") == Fault(name="hang", seconds=30.0)
    assert faults.of_skus(["WIDGET", "UNSHIPPABLE"], prefix="SHIP-") == Fault(name="refused")
    assert faults.of_skus(["UNSHIPPABLE"], prefix="CANCEL-") is None
    assert faults.of_skus(["SHIP-5XX-ONCE"], prefix="SHIP-") == Fault(name="5xx", once=True)
    assert faults.of_skus(["SHIPPING-BOX"], prefix="SHIP-") is None


def test_a_header_comes_first_then_an_outage_then_what_was_asked_for_then_chance():
    moods = Moods(seed=1)
    asked = Fault(name="cut")
    moods.set("payments", name="ok", rates={"5xx": 1.0})
    assert moods.fault("payments", header="", asked=None, key="k") == Fault(name="5xx")
    assert moods.fault("payments", header="", asked=asked, key="k") == asked
    moods.set("payments", name="down", rates={})
    assert moods.fault("payments", header="", asked=asked, key="k") == Fault(name="503")
    assert moods.fault("payments", header="hang", asked=asked, key="k") == Fault(name="hang", seconds=30.0)
    assert moods.fault("shipping", header="", asked=None, key="k") is None


def test_once_is_once_per_key():
    moods = Moods()
    asked = Fault(name="cut", once=True)
    met = [moods.fault("payments", header="", asked=asked, key=key) for key in ("a", "a", "b")]
    assert met == [asked, None, asked]


def test_every_fault_and_every_mood_is_documented():
    page = (PROJECT_DIR / "docs" / "sandbox.md").read_text()
    rows = set(re.findall(r"^\| `([^`]+)`", page, flags=re.MULTILINE))
    assert rows >= faults.NAMES
    assert set(faults.MOODS) <= rows
