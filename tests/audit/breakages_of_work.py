"""As breakages.py, for messages, sagas and compensations."""

from tests.audit.breakages import KEYS, MONEY, NEW, ORDERS, PARCELS, STOCK, broken, message, step, twin

OLD_ENDED = "old.aggregate_id = %(confirmed)s AND old.sequence = 2"
ENDED = "aggregate_id = %(confirmed)s AND sequence = 2"

MESSAGES = (
    broken("no_message_is_open", message(), also="every_order_has_ended every_saga_has_ended", at_rest=True),
    broken(
        "no_message_is_dead",
        message(state="'dead'"),
        also="every_order_has_ended every_saga_has_ended no_message_is_open",
        at_rest=True,
    ),
    broken("a_dead_message_says_why", message(state="'dead'", error="''")),
    broken("a_finished_message_was_tried", f"UPDATE outbox_outboxmessage SET epoch = 0, attempts = 0 WHERE {ENDED}"),
    broken(
        "an_open_message_is_due_within_bounds",
        "UPDATE outbox_outboxmessage SET due_at = now() + interval '30 days' WHERE state = 'open'",
    ),
    broken(
        "an_open_message_is_taken_up",
        "UPDATE outbox_outboxmessage SET due_at = now() - interval '30 days' WHERE state = 'open'",
    ),
    broken(
        "an_orders_events_have_no_gap",
        "UPDATE orders_order SET sequence = sequence + 1 WHERE id = %(confirmed)s",
    ),
    broken(
        "an_event_has_one_place_in_its_order",
        twin("outbox_outboxmessage", OLD_ENDED, key="uuidv7()", message_id=NEW, destination="'x'", state="'skipped'"),
        also="an_order_ends_once",
    ),
    broken(
        "events_are_written_and_handled_in_order",
        message(aggregate_id="%(confirmed)s", sequence="7", type="'y.v1'"),
        message(aggregate_id="%(confirmed)s", sequence="6", type="'y.v1'"),
        also="an_orders_events_have_no_gap",
    ),
    broken(
        "events_are_written_and_handled_in_order",
        message(aggregate_id="%(declined)s", sequence="7", type="'y.v1'", state="'dead'"),
        message(aggregate_id="%(declined)s", sequence="8", type="'y.v1'", state="'done'", finished_at="now()"),
        also="an_orders_events_have_no_gap a_finished_message_is_in_the_inbox",
    ),
    broken(
        "a_finished_message_is_in_the_inbox",
        "DELETE FROM outbox_inboxmessage WHERE consumer = 'notifications.order_confirmed'",
    ),
    broken(
        "a_message_goes_to_a_destination_once",
        twin("outbox_outboxmessage", OLD_ENDED, key="uuidv7()"),
    ),
    broken(
        "one_notice_per_order_and_kind",
        twin("notifications_notification", "old.order_id = %(confirmed)s", id=NEW),
    ),
    broken("every_end_is_told", "DELETE FROM notifications_notification WHERE order_id = %(confirmed)s"),
    broken(
        "every_refund_is_told",
        "UPDATE notifications_notification SET status = 'pending', sent_at = NULL"
        " WHERE order_id = %(unshippable)s AND kind = 'refunded'",
    ),
    broken(
        "only_what_happened_is_told",
        twin("notifications_notification", "old.order_id = %(confirmed)s", id=NEW, kind="'cancelled'"),
    ),
)

SAGAS = (
    broken("one_saga_per_order", twin("sagas_saga", "old.subject_id = %(declined)s", id=NEW),
           also="a_provider_key_is_its_sagas_own"),
    broken(
        "an_order_agrees_with_its_saga",
        "UPDATE sagas_saga SET reason = 'cancelled' WHERE subject_id = %(declined)s",
    ),
    broken(
        "every_order_had_its_saga",
        "DELETE FROM sagas_sagastep WHERE saga_id = (SELECT id FROM sagas_saga WHERE subject_id = %(confirmed)s)",
        "DELETE FROM sagas_saga WHERE subject_id = %(confirmed)s",
    ),
    broken(
        "a_saga_has_its_order",
        twin("sagas_saga", "old.subject_id = %(confirmed)s", id="uuidv7()", subject_id=NEW),
    ),
    broken("every_saga_has_ended", "SELECT 1", also="every_order_has_ended no_message_is_open", at_rest=True),
    broken(
        "a_completed_saga_did_every_step",
        "DELETE FROM sagas_sagastep WHERE name = 'create_shipment' AND saga_id ="
        " (SELECT id FROM sagas_saga WHERE subject_id = %(confirmed)s)",
    ),
    broken(
        "a_provider_key_is_its_sagas_own",
        "UPDATE payments_payment SET provider_key = gen_random_uuid() WHERE order_id = %(confirmed)s",
    ),
    broken(
        "a_running_saga_waits_for_an_open_message",
        "UPDATE outbox_outboxmessage SET state = 'skipped', finished_at = now() WHERE state = 'open'",
    ),
    broken(
        "an_open_step_message_has_its_saga_waiting",
        twin(
            "outbox_outboxmessage", "old.aggregate_type = 'saga' AND old.correlation_id = %(confirmed)s"
            " AND old.destination = 'fulfil_order.confirm_order'",
            key="uuidv7()", message_id=NEW, state="'open'", finished_at="NULL::text",
        ),
    ),
    broken(
        "one_open_message_per_saga",
        twin("outbox_outboxmessage", "old.state = 'open'", key="uuidv7()", message_id=NEW),
        also="an_open_step_message_has_its_saga_waiting",
    ),
    broken(
        "a_saga_ends_or_asks_for_help_by_its_deadline",
        "UPDATE sagas_saga SET deadline_at = now() - interval '1 hour' WHERE status = 'running'",
    ),
    broken(
        "a_dead_step_message_stops_its_saga_visibly",
        "UPDATE outbox_outboxmessage SET state = 'dead', last_error = 'x', attempts = 9 WHERE state = 'open'",
        also="a_running_saga_waits_for_an_open_message",
    ),
)  # fmt: skip

COMPENSATION = (
    broken(
        "a_saga_ends_in_the_direction_it_goes",
        "UPDATE sagas_saga SET direction = 'backward' WHERE subject_id = %(confirmed)s",
        also="there_is_no_way_back_from_the_pivot",
    ),
    broken(
        "no_step_begins_after_the_saga_turned",
        step("unshippable", "create_shipment", "started_at = now() + interval '1 hour'"),
    ),
    broken(
        "there_is_no_way_back_from_the_pivot",
        twin(
            "sagas_sagastep", "old.name = 'create_shipment' AND old.saga_id ="
            " (SELECT id FROM sagas_saga WHERE subject_id = %(unshippable)s)",
            id="old.id + 1000", name="'confirm_order'", position="3", status="'done'", undo_status="'skipped'",
        ),
    ),
    broken(
        "compensations_run_in_reverse",
        step("cancelled_late", "reserve_stock", "undo_started_at = undo_started_at - interval '1 millisecond'"),
        step("cancelled_late", "create_shipment", "undo_started_at = undo_finished_at + interval '1 hour'"),
    ),
    broken(
        "nothing_is_called_compensated_that_is_not",
        step("unshippable", "charge_payment", "undo_status = 'failed'"),
    ),
    broken(
        "an_order_ends_after_its_last_compensation",
        step("unshippable", "charge_payment", "undo_finished_at = now() + interval '1 hour'"),
    ),
    broken(
        "no_compensation_while_a_step_is_unknown",
        step("declined", "charge_payment", "status = 'unknown'"),
    ),
    broken(
        "no_refund_while_a_charge_is_unknown",
        "UPDATE payments_payment SET status = 'unknown' WHERE order_id = %(declined)s",
        also="no_payment_stays_unknown",
    ),
)  # fmt: skip

BREAKAGES = {
    "orders": ORDERS,
    "keys": KEYS,
    "money": MONEY,
    "stock": STOCK,
    "parcels": PARCELS,
    "messages": MESSAGES,
    "sagas": SAGAS,
    "compensation": COMPENSATION,
}
