"""One crash point, from the armed process to the verdict: the same acts for every point and every fault.

Place, wait for the fault, overcome it as a supervisor would, wait for rest, judge. What differs is in the point and its
scene.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from sagas.models import SagaStep
from tests.armed.faults import COMMIT_LANDS, COMMIT_LOST
from tests.armed.switch import Armed

from . import verdict
from .customers import Placed
from .point import WORLD, Point, Wanted
from .points import BY_NAME
from .scenes import SCENES, Scene
from .stage import Stage

# Waited for, never asserted: a machine may be busy.
REST_SECONDS = 120.0
ANSWER_SECONDS = 120.0
FROZEN = frozenset({"freeze", "freeze_all"})


def try_point(stage: Stage, point: Point, fault: str) -> None:
    """One point. Raises AssertionError with every difference; StartFailed when something did not come about."""
    _try(stage, SCENES[point.scene](stage, fault), [(point, fault)], point.orders)


def try_pair(stage: Stage, first: tuple[Point, str], second: tuple[Point, str], wanted: Wanted) -> None:
    """The second point is armed from the moment when the first has fired, in the later life of the same order."""
    _try(stage, SCENES[""](stage, first[1]), [first, second], [wanted])


def _try(stage: Stage, scene: Scene, acts: Sequence[tuple[Point, str]], orders: Sequence[Wanted]) -> None:
    since = verdict.rows("SELECT statement_timestamp()")[0][0]
    try:
        armed = stage.arm(*[(point, fault) for point, fault in acts if fault != WORLD])
        scene.prepare()
        futures = _place(stage, orders)
        scene.meanwhile(len(futures))
        fired = [_overcome(stage, one) for one in armed]
        placed = _answered(stage, futures)
        scene.afterwards(placed)
        _rest(stage, placed)
        _wake(stage, fired)
        _rest(stage, placed)
        found = [*scene.check(placed), *verdict.differences(stage, placed, since=since)]
        assert not found, "\n".join(found)
    finally:
        scene.leave()
        stage.mood("shipping", "ok")
        stage.disarm()
        stage.wake_all()
        stage.end_extra()
        stage.revive()


def _overcome(stage: Stage, armed: Armed) -> tuple[Armed, Mapping[str, Any]]:
    """Waits until the fault has fired and does what it takes besides starting again what died (Stage.wait does)."""
    mark = stage.fired(armed)
    point = BY_NAME[armed.point]
    if armed.fault in (COMMIT_LANDS, COMMIT_LOST):
        stage.cut_commit(point, armed)
    if armed.fault in FROZEN and point.seam.process != "web":  # gunicorn's other worker is there already
        stage.start_beside(f"{point.seam.process}-2")
    return armed, mark


def _wake(stage: Stage, fired: Sequence[tuple[Armed, Mapping[str, Any]]]) -> None:
    """What was frozen goes on when another has done its work, and comes to its end; it must change nothing."""
    for armed, mark in fired:
        if armed.fault in FROZEN:
            process = BY_NAME[armed.point].seam.process
            stage.wake(process)
            stage.wait_for_the_end_of(process, armed, mark)


def _answered(stage: Stage, futures: "Sequence[Future[Placed]]") -> list[Placed]:
    stage.wait(lambda: all(one.done() for one in futures), within_seconds=ANSWER_SECONDS, what="every answer")
    return [future.result() for future in futures]


def _place(stage: Stage, orders: Sequence[Wanted]) -> "list[Future[Placed]]":
    if not any(wanted.is_cancelled for wanted in orders):
        return [stage.customers.place(wanted) for wanted in orders]
    # The carrier does it and answers too late, questions included: unknown until the wish to cancel is noted.
    stage.mood("shipping", "slow")
    futures = [stage.customers.place(wanted) for wanted in orders]
    placed = _answered(stage, futures)
    unknown = SagaStep.objects.filter(
        saga__subject_id__in=[one.order_id for one in placed], name="create_shipment", status="unknown"
    )
    stage.wait(lambda: unknown.count() == len(placed), within_seconds=REST_SECONDS, what="an unknown shipment")
    wishes = [stage.customers.cancel(one) for one in placed if one.wanted.is_cancelled]
    stage.wait(lambda: all(one.done() for one in wishes), within_seconds=ANSWER_SECONDS, what="a noted wish")
    assert [wish.result().status_code for wish in wishes] == [202] * len(wishes)
    stage.mood("shipping", "ok")
    return futures


def _rest(stage: Stage, placed: Sequence[Placed]) -> None:
    """Twice, with the last webhook in between: what it tells is a message that opens after the order's end."""
    try:
        stage.wait(lambda: verdict.is_at_rest(placed), within_seconds=REST_SECONDS, what="rest")
        stage.wait_for_webhooks()
        stage.wait(lambda: verdict.is_at_rest(placed), within_seconds=REST_SECONDS, what="rest after the last webhook")
    except Exception as error:
        raise AssertionError(f"{error} Left: {verdict.what_is_left(placed)}") from error
