"""`make up ARGS=--once`: from an empty folder to two orders that ended as they should, and nothing left running."""

import os
import shutil
import subprocess
import sys

import pytest

from local.folder import PROJECT_DIR
from local.unprivileged import home_for

pytestmark = pytest.mark.xdist_group("processes")

HIDDEN = ("DATABASE_URL", "CELERY_BROKER_URL", "SECRET_KEY", "DEBUG", "LOG_LEVEL", "EMAIL_URL")


@pytest.fixture
def folder(tmp_path):
    yield tmp_path
    shutil.rmtree(home_for(tmp_path), ignore_errors=True)


def run_up_once(folder):
    environment = {name: value for name, value in os.environ.items() if name not in HIDDEN}
    return subprocess.run(
        [sys.executable, "-m", "local.up", "--once"],
        cwd=PROJECT_DIR,
        env={**environment, "ORDERS_LOCAL_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_both_journeys_end_as_they_should_twice_in_a_row(folder):
    """I8: what was done for an order that no carrier takes is undone, the charge before the stock."""
    for _ in range(2):
        result = run_up_once(folder)

        assert result.returncode == 0, result.stdout + result.stderr
        told = [line.split("s  ", 1)[1] for line in result.stdout.splitlines() if line.strip().startswith("+")]
        assert [line for line in told if not line.endswith("placed")] == [
            *("reserve_stock: done", "charge_payment: done", "create_shipment: done", "confirm_order: done"),
            "order confirmed",
            *("reserve_stock: done", "charge_payment: done", "create_shipment: refused"),
            *("undo of charge_payment: done", "undo of reserve_stock: done"),
            "order rejected (shipping_unavailable)",
        ]
        assert result.stdout.endswith("both orders ended as they should; everything has ended\n")
        assert not (folder / "run.json").exists()
        assert not (folder / "env").exists()
