"""One crash point, from the armed process to the verdict: the same acts for every point and every fault.

Place, wait for the fault, overcome it as a supervisor would, wait for rest, judge. What differs is in the point, its
scene and `OVERCOME`.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from sagas.models import SagaStep
from tests.armed.faults import COMMIT_LANDS, COMMIT_LOST

from . import verdict
from .customers import Placed
from .point import WORLD, Point, Wanted
from .scenes import SCENES
from .stage import Stage

REST_SECONDS = 60.0
ANSWER_SECONDS = 60.0


def try_point(stage: Stage, point: Point, fault: str) -> None:
    """Raises AssertionError with every difference; StartFailed when something did not come about."""
    since = verdict.rows("SELECT statement_timestamp()")[0][0]
    scene = SCENES[point.scene](stage, fault)
    try:
        if fault != WORLD:
            stage.arm(point, fault)
        scene.prepare()
        futures = _place(stage, point.orders)
        scene.meanwhile(len(futures))
        mark = stage.fired() if fault != WORLD else {}
        OVERCOME[fault](stage, point)
        stage.wait(lambda: all(one.done() for one in futures), within_seconds=ANSWER_SECONDS, what="every answer")
        placed = [future.result() for future in futures]
        scene.afterwards(placed)
        _rest(stage, placed)
        if fault in FROZEN:
            _wake(stage, point, mark)
            _rest(stage, placed)
        assert [*scene.check(placed), *verdict.differences(stage, placed, since=since)] == []
    finally:
        scene.leave()
        stage.disarm()
        stage.wake_all()
        stage.end_extra()
        stage.revive()


def _place(stage: Stage, orders: Sequence[Wanted]) -> "list[Future[Placed]]":
    futures = [stage.customers.place(wanted) for wanted in orders]
    for future, wanted in zip(futures, orders, strict=True):
        if wanted.is_cancelled:
            stage.wait(future.done, within_seconds=ANSWER_SECONDS, what="an answer")
            placed = future.result()
            underway = SagaStep.objects.filter(
                saga__subject_id=placed.order_id, name="create_shipment", status__in=["running", "unknown"]
            )
            stage.wait(underway.exists, within_seconds=REST_SECONDS, what="the carrier at work")
            stage.customers.cancel(placed)
    return futures


def _rest(stage: Stage, placed: Sequence[Placed]) -> None:
    try:
        stage.wait(lambda: verdict.is_at_rest(placed), within_seconds=REST_SECONDS, what="rest")
    except Exception as error:
        raise AssertionError(f"{error} Left: {verdict.what_is_left(placed)}") from error


def _goes_on(stage: Stage, point: Point) -> None:
    """The service helps itself; what died is started again by whoever waits (Stage.wait)."""


def _cut_commit(stage: Stage, point: Point) -> None:
    stage.cut_commit(point)


def _frozen(stage: Stage, point: Point) -> None:
    """Another process of its kind takes over, once the claim has run out."""
    if point.seam.process != "web":  # gunicorn's other worker is there already
        stage.start_beside(f"{point.seam.process}-2")


def _wake(stage: Stage, point: Point, mark: Mapping[str, Any]) -> None:
    """What was frozen goes on, and comes to its end; it must change nothing."""
    stage.wake(point.seam.process)
    stage.wait_for_the_end_of(point.seam.process, mark)


FROZEN = frozenset({"freeze", "freeze_all"})
OVERCOME: Mapping[str, Callable[[Stage, Point], None]] = {
    WORLD: _goes_on,
    "kill": _goes_on,
    "kill_all": _goes_on,
    "raise": _goes_on,
    "lose": _goes_on,
    "double": _goes_on,
    "freeze": _frozen,
    "freeze_all": _frozen,
    COMMIT_LANDS: _cut_commit,
    COMMIT_LOST: _cut_commit,
}
