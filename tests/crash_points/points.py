"""THE list of crash points: between every two durable acts of every flow, what may fire there and what must hold.

docs/crash-points.md shows it as a table; a test compares the two. A new point is one entry here and one row there.
"""

from collections.abc import Sequence
from typing import Any

from tests.armed.seam import Concern, Passage, Seam, asks, destination

from .point import CANCELLED, CONFIRMED, UNSHIPPABLE, WORLD, Point, Wanted, paid_by

KILL = ("kill",)
# A child of a prefork worker, or of gunicorn, alone; or with its parent.
KILLS = ("kill", "kill_all")
COMMIT = ("commit_lands", "commit_lost")

RESERVE = "fulfil_order.reserve_stock"
RELEASE = "fulfil_order.reserve_stock.undo"
CHARGE = "fulfil_order.charge_payment"
REFUND = "fulfil_order.charge_payment.undo"
SHIP = "fulfil_order.create_shipment"
CANCEL = "fulfil_order.create_shipment.undo"
CONFIRM = "fulfil_order.confirm_order"
START = "orders.start_fulfilment"
NOTICE = "notifications.order_confirmed"
REREAD = "payments.reread"

CLAIM_LOCAL = "outbox.consumer:claim"
LOCAL_WORK = "sagas.runner:LocalWork.__call__"
RING_AFTER = "outbox.bell:ring"
NOTE = "outbox.remote:_RemoteRun._note"
RECORD = "outbox.remote:_RemoteRun._record"
RECORDED = "outbox.remote:_RemoteRun._record_together"
WRITE_LINE = "tests.support.ledger_file:LedgerFile.write"
PURGE_BATCH = "outbox.querysets:OutboxMessageQuerySet.purge_batch"


def _point(name: str, process: str, where: str, faults: tuple[str, ...], promise: str, **details: Any) -> Point:
    """`where` is "before module:attribute" or "after module:attribute"."""
    when, _, function = where.partition(" ")
    seam = Seam(
        process=process,
        function=function,
        after={"before": False, "after": True}[when],
        nth=details.pop("nth", 1),
        concerns=details.pop("about", None),
    )
    return Point(name=name, seam=seam, faults=faults, promise=promise, **{"orders": (CONFIRMED,), **details})


def _posts_an_order(passage: Passage) -> bool:
    request = passage.args[0].req
    return bool(request.method == "POST" and request.path == "/orders")


def _sends_charge(passage: Passage) -> bool:
    asked = passage.args[0]._response_options
    return bool(asked.request_method == "POST" and asked.request_url == "/payments/charges")


def _ends_a_saga(passage: Passage) -> bool:
    return any(case.ended for case in passage.args[0])


def _tick(name: str) -> Concern:
    return lambda passage: passage.args[0].name == name and passage.result is not False


INTAKE = [
    _point("intake.before_begin", "web", "before idempotency.decorators:_in_one_transaction", KILLS,
           "I2: nothing is left; the retry is the first"),
    _point("intake.key_claimed", "web", "after idempotency.services:claim", ("kill", "raise"),
           "I2: the key is free again"),
    _point("intake.order_written", "web", "before orders.services:publish", ("kill", "raise", "freeze"),
           "I1: no order without its message; a frozen request holds its key for seconds at most"),
    _point("intake.message_written", "web", "after orders.services:publish", ("kill", "raise"),
           "I1: no message without its order"),
    _point("intake.answer_stored", "web", "after idempotency.services:store", (*KILLS, "raise"),
           "I1, I2: before COMMIT nothing has been"),
    _point("intake.commit_unknown", "web", "after idempotency.services:store", COMMIT,
           "I2: looked up by key on a fresh connection; 201 or 503, and one order"),
    _point("intake.committed", "web", "before outbox.wakeup:WakeUpThread.wake", ("kill", "raise", "lose"),
           "I1: an order needs no wake-up to be fulfilled, and its client the same answer"),
    _point("intake.before_answer", "web", "before orders.views:OrderCollection.finalize_response", KILL,
           "I2: the retry gets the stored bytes"),
    _point("intake.half_answer", "web", "after gunicorn.http.wsgi:Response.send_headers", KILL,
           "I2: the retry gets the stored bytes", about=_posts_an_order),
    _point("intake.cancel_noted", "web", "after orders.cancellation:_mark_requested", ("kill", "raise"),
           "F16: a wish that was not committed is wished again", orders=(CANCELLED,)),
]  # fmt: skip

RELAY = [
    _point("relay.claimed", "relay", "after outbox.relay:_claim", ("kill", "raise", "freeze"),
           "I4: sent when the claim has run out", about=destination("ledger")),
    *[
        _point(f"relay.sent_{k}_of_4", "relay", f"after {WRITE_LINE}", KILL,
               "I4: at least once, in the order of each aggregate", nth=k, scene="four_due", orders=(CONFIRMED,) * 4)
        for k in (1, 2, 3)
    ],
    _point("relay.sent_not_finished", "relay", "before outbox.relay:_finish", ("kill", "freeze"),
           "I4, I6: sent again with the same message id; a stale finish changes nothing"),
    _point("relay.finish_unknown", "relay", "before outbox.relay:_finish", COMMIT,
           "I4: done, or sent again with the same message id", cut_by=b"SET state = 'done'"),
    _point("relay.ring_counted", "relay", "before outbox.bell:_send", ("kill", "lose", "double"),
           "I4: a ring that is lost is rung again, a doubled one finds nothing", about=destination(START)),
]  # fmt: skip

LOCAL = [
    _point("local.rung", "worker", "before outbox.consumer:deliver", KILLS,
           "I4: rung again; nothing was claimed", about=destination(RESERVE)),
    _point("local.claimed", "worker", f"after {CLAIM_LOCAL}", (*KILLS, "raise", "freeze_all"),
           "I4, I6: claimed again when the claim has run out", about=destination(RESERVE)),
    _point("local.finished", "worker", "after outbox.querysets:OutboxMessageQuerySet.finish", (*KILLS, "raise"),
           "I5: undone with its transaction", about=destination(RESERVE)),
    _point("local.inbox", "worker", "after outbox.inbox:record", ("kill", "raise"),
           "I5: undone with its transaction", about=destination(RESERVE)),
    _point("local.effect", "worker", "after inventory.services:reserve", (*KILLS, "raise"),
           "I5, I10: reserved once"),
    _point("local.next_written", "worker", "after sagas.journal:publish_commands", ("kill", "raise"),
           "I6: one open message per saga", about=destination(CHARGE)),
    _point("local.before_commit", "worker", f"after {LOCAL_WORK}", (*KILLS, "raise"),
           "I5: nothing of the step has been", about=destination(RESERVE)),
    _point("local.commit_unknown", "worker", f"after {LOCAL_WORK}", COMMIT,
           "I5: done once, whichever it was", about=destination(RESERVE)),
    _point("local.committed", "worker", f"before {RING_AFTER}", (*KILLS, "lose"),
           "I4: the next step is rung by whoever polls", about=destination(RESERVE)),
    _point("local.start_before_commit", "worker", "after sagas.lifecycle:start", ("kill", "raise"),
           "I5: one saga per order"),
    _point("local.start_committed", "worker", f"before {RING_AFTER}", KILL,
           "I5: one saga per order", about=destination(START)),
    _point("local.pivot_claimed", "worker", f"after {CLAIM_LOCAL}", KILLS,
           "I9: charged, shipped, and then confirmed", about=destination(CONFIRM)),
    _point("local.pivot_before_commit", "worker", f"after {LOCAL_WORK}", KILLS,
           "I9, I10: confirmed once, committed stock once", about=destination(CONFIRM)),
    _point("local.pivot_commit_unknown", "worker", f"after {LOCAL_WORK}", COMMIT,
           "I9, I10: confirmed once, committed stock once", about=destination(CONFIRM)),
    _point("local.pivot_committed", "worker", f"before {RING_AFTER}", KILLS,
           "I4: the notice is sent by whoever polls", about=destination(CONFIRM)),
]  # fmt: skip


def _remote(step: str, name: str, wanted: Wanted, faults: dict[str, tuple[str, ...]]) -> list[Point]:
    """The points that every remote step has, with more faults for some of them."""
    orders = (wanted,)

    def at(short: str, where: str, promise: str) -> Point:
        return _point(f"remote.{step}_{short}", "remote-worker", where, (*KILL, *faults.get(short, ())), promise,
                      about=destination(name), orders=orders)  # fmt: skip

    return [
        at("noted", f"after {NOTE}", "I3, I13: the intent is on record; the next attempt asks first"),
        at("answered", f"before {RECORD}", "I3, I13: found by the probe, not done again"),
        at("before_commit", "after sagas.runner:RemoteStepWork.record", "I3: fact and decision together or not at all"),
        at("recorded", f"after {RECORDED}", "I4: the next step is rung by whoever polls"),
    ]


REMOTE = [
    *_remote("charge", CHARGE, CONFIRMED, {"noted": ("raise", "freeze"), "answered": ("raise", "freeze")}),
    *_remote("ship", SHIP, CONFIRMED, {"answered": ("freeze",)}),
    *_remote("refund", REFUND, UNSHIPPABLE, {"answered": ("freeze",)}),
    *_remote("cancel", CANCEL, CANCELLED, {}),
    _point("remote.charge_commit_unknown", "remote-worker", "after sagas.runner:RemoteStepWork.record", COMMIT,
           "I3, I13: one charge, whichever it was", about=destination(CHARGE)),
    _point("remote.refund_commit_unknown", "remote-worker", "after sagas.runner:RemoteStepWork.record", COMMIT,
           "I3: one refund, whichever it was", about=destination(REFUND), orders=(UNSHIPPABLE,)),
    _point("remote.charge_calling", "remote-worker", "before providers.client:ProviderClient._exchange", ("freeze",),
           "I13: no call begins after its attempt's time", about=asks("POST", "/payments/charges")),
    _point("remote.charge_in_request", "remote-worker", "after http.client:HTTPConnection.endheaders", KILL,
           "I3: half a request is no charge, and the next attempt asks first", about=_sends_charge),
    _point("remote.charge_hangs", "remote-worker", "before outbox.remote:_RemoteRun._await_answers", KILL,
           "I13: a call that nobody waits for any more is asked about", nth=2, about=destination(CHARGE),
           orders=(paid_by("tok_hang_after_3_once"),)),
    *[
        _point(f"remote.charge_meets_{trouble}", "remote-worker", f"before {RECORD}", (WORLD, "kill"),
               "I3, I13: unknown is asked about, never guessed", about=destination(CHARGE), scene=scene,
               orders=(paid_by(token),))
        for trouble, token, scene in [
            ("no_connection", "tok_ok", "refused_connection"),
            ("cut_request", "tok_ok", "cut_request"),
            ("hang", "tok_hang_3_once", "tried_again"),
            ("cut_reply", "tok_drop_reply_once", "tried_again"),
            ("wrong_amount", "tok_wrong_amount_once", "tried_again"),
            ("html", "tok_html_once", "tried_again"),
            ("huge_body", "tok_huge_once", "tried_again"),
            ("redirect", "tok_redirect_after_once", "tried_again"),
        ]
    ],
    _point("remote.notice_noted", "remote-worker", f"after {NOTE}", KILL,
           "I5: one notice per order and kind", about=destination(NOTICE)),
    _point("remote.notice_sent", "remote-worker", f"before {RECORD}", KILL,
           "I5: one notice per order and kind, sent again under the same Message-ID", about=destination(NOTICE)),
    _point("remote.notice_recorded", "remote-worker", f"after {RECORDED}", KILL,
           "I5: one notice per order and kind", about=destination(NOTICE)),
]  # fmt: skip

COMPENSATION = [
    _point("compensation.turned", "remote-worker", f"after {RECORDED}", KILL,
           "I7: it goes on backward", about=destination(SHIP), orders=(UNSHIPPABLE,)),
    _point("compensation.between_two", "worker", f"before {CLAIM_LOCAL}", KILLS,
           "I8: the one that is done is not done again", about=destination(RELEASE), orders=(UNSHIPPABLE,)),
    _point("compensation.last_done", "worker", "before sagas.journal:_tell_owners", (*KILLS, "raise"),
           "I8: rejected when all is undone, not before", about=_ends_a_saga, orders=(UNSHIPPABLE,)),
    _point("compensation.last_commit_unknown", "worker", f"after {LOCAL_WORK}", COMMIT,
           "I8: rejected once, whichever it was", about=destination(RELEASE), orders=(UNSHIPPABLE,)),
    _point("compensation.keeps_failing", "remote-worker", f"before {RECORD}", KILL,
           "I8: the others still run; a person's retry ends it", about=destination(REFUND), scene="refunds_refused",
           orders=(UNSHIPPABLE,)),
    _point("compensation.refund_announced", "worker", "after orders.services:announce_refunds", KILL,
           "I5, I12: announced once, in the order's sequence", orders=(UNSHIPPABLE,)),
]  # fmt: skip

WEBHOOK = [
    _point("webhook.before_commit", "web", "after payments.webhooks:publish", ("kill", "raise"),
           "I5: the provider sends it again", scene="one_hint"),
    _point("webhook.commit_unknown", "web", "after payments.webhooks:publish", COMMIT,
           "I5: one hint per event, whichever it was", scene="one_hint"),
    _point("webhook.committed", "web", "after payments.webhooks:note", KILL,
           "I5: the same event again is no second hint", scene="one_hint"),
    _point("webhook.reread_before_commit", "remote-worker", "after payments.consumers:Reread.record", KILL,
           "I3: a fact is written once", scene="one_hint"),
]  # fmt: skip

PURGE = [
    _point("purge.tick_claimed", "relay", "after outbox.periodic:_claim", ("kill", "raise", "freeze"),
           "F10: the next tick does it, and nothing waits for this one", scene="old_rows", about=_tick("outbox.purge")),
    _point("purge.messages_before_commit", "relay", f"before {PURGE_BATCH}", ("kill", "raise"),
           "I14: nothing that is needed is removed", scene="old_rows"),
    _point("purge.messages_committed", "relay", f"after {PURGE_BATCH}", KILL,
           "I14: nothing that is needed is removed", scene="old_rows"),
    _point("purge.inbox_committed", "relay", "after outbox.operations:_delete_inbox_batch", KILL,
           "I5, I14: what was handled is remembered for its retention", scene="old_rows"),
    _point("purge.keys_committed", "relay", "after idempotency.operations:_purge_batch", KILL,
           "I2, I14: a key lives for its lifetime", scene="old_rows"),
    _point("purge.sagas_committed", "relay", "after sagas.lifecycle:_purge_batch", KILL,
           "I14: nothing that is needed is removed", scene="old_rows"),
]  # fmt: skip

BEAT = [
    _point("beat.before_tick", "beat", "before celery.beat:Scheduler.apply_async", ("kill", "lose", "double"),
           "F10: a lost tick comes again, a doubled one finds its work done", scene="beat"),
    _point("beat.tick_sent", "beat", "after celery.beat:Scheduler.apply_async", ("kill", "freeze"),
           "F10: beat is no single point of failure", scene="beat"),
]  # fmt: skip

AUDIT = [
    _point(
        "audit.tick_before_commit",
        "relay",
        "after audit.consumers:doubt",
        ("kill", "raise"),
        "F10: the next tick asks for it",
        scene="books_due",
    ),
    _point(
        "audit.slice_before_commit",
        "remote-worker",
        "after audit.reconciliation:store_slice",
        KILL,
        "I4: read again, and compared once",
        scene="books_due",
    ),
    _point(
        "audit.slice_commit_unknown",
        "remote-worker",
        "after audit.reconciliation:store_slice",
        COMMIT,
        "I4: the position moves once",
        scene="books_due",
    ),
    _point(
        "audit.slice_committed",
        "remote-worker",
        f"after {RECORDED}",
        KILL,
        "I4: the next slice goes on from there",
        about=destination("audit.reconcile_payments"),
        scene="books_due",
    ),
]

POINTS: Sequence[Point] = [*INTAKE, *RELAY, *LOCAL, *REMOTE, *COMPENSATION, *WEBHOOK, *PURGE, *BEAT, *AUDIT]
BY_NAME = {point.name: point for point in POINTS}
