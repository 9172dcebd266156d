"""One way to break each promise by hand: SQL that Postgres, and the services, would never let through.

Parameters are the orders of the history. `also` names the other checks that see the same damage, each with its reason.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Breakage:
    """Rows that violate `check`."""

    check: str
    sql: tuple[str, ...]
    also: frozenset[str] = field(default=frozenset())
    at_rest: bool = False


def broken(check: str, *sql: str, also: str = "", at_rest: bool = False) -> Breakage:
    return Breakage(check, sql, frozenset(also.split()), at_rest)


MESSAGE = """
INSERT INTO outbox_outboxmessage (key, message_id, destination, type, aggregate_type, aggregate_id, sequence,
    order_free, correlation_id, payload, headers, state, due_at, attempts, epoch, last_error, created_at, finished_at)
VALUES (uuidv7(), gen_random_uuid(), {destination}, {type}, {aggregate_type}, {aggregate_id}, {sequence}, {order_free},
        {correlation_id}, '{{}}', '{{}}', {state}, now(), 1, 1, {error}, now(), {finished_at})
"""


def message(**columns: str) -> str:
    """An INSERT of one message; each value is SQL."""
    columns = {
        "destination": "'nobody'", "type": "'x.v1'", "aggregate_type": "'x'", "aggregate_id": "gen_random_uuid()",
        "sequence": "NULL", "order_free": "false", "correlation_id": "gen_random_uuid()", "state": "'open'",
        "error": "'why'", "finished_at": "NULL", **columns,
    }  # fmt: skip
    return MESSAGE.format(**columns)


def twin(table: str, where: str, **changes: str) -> str:
    """A second row like one that is there, under a new key."""
    pairs = ", ".join(f"'{name}', to_jsonb(({value})::text)" for name, value in changes.items())
    return (
        f"INSERT INTO {table} SELECT new.* FROM {table} old, "
        f"jsonb_populate_record(old, jsonb_build_object({pairs})) new WHERE {where}"
    )


def step(order: str, name: str, changes: str) -> str:
    return (
        f"UPDATE sagas_sagastep SET {changes} WHERE name = '{name}' AND saga_id = "
        f"(SELECT id FROM sagas_saga WHERE subject_id = %({order})s)"
    )


NEW = "gen_random_uuid()"

ORDERS = (
    broken(
        "every_order_has_its_created_message",
        "DELETE FROM outbox_outboxmessage WHERE aggregate_id = %(confirmed)s AND sequence = 1",
        also="an_orders_events_have_no_gap",
    ),
    broken(
        "every_created_message_has_its_order",
        message(type="'order.created.v1'", state="'dead'"),
    ),
    broken(
        "every_end_is_published",
        "DELETE FROM outbox_outboxmessage WHERE aggregate_id = %(confirmed)s AND sequence = 2",
        also="an_orders_events_have_no_gap",
    ),
    broken(
        "no_order_is_lost",
        "DELETE FROM outbox_outboxmessage WHERE correlation_id = %(under_way)s AND state = 'open'",
        "DELETE FROM sagas_sagastep WHERE saga_id = (SELECT id FROM sagas_saga WHERE subject_id = %(under_way)s)",
        "DELETE FROM sagas_saga WHERE subject_id = %(under_way)s",
    ),
    broken(
        "an_order_ends_once",
        twin(
            "outbox_outboxmessage", "old.aggregate_id = %(confirmed)s AND old.sequence = 2",
            key=NEW, message_id=NEW, sequence="3", type="'order.rejected.v1'", state="'skipped'",
        ),
        "UPDATE orders_order SET sequence = 3 WHERE id = %(confirmed)s",
    ),
    broken(
        "an_orders_total_is_the_sum_of_its_lines",
        "UPDATE orders_orderline SET unit_price_minor = 1, line_total_minor = quantity WHERE order_id = %(confirmed)s",
    ),
    broken("every_order_has_ended", "SELECT 1", at_rest=True, also="every_saga_has_ended no_message_is_open"),
    broken("an_order_has_an_end_if_and_only_if_it_ended", "UPDATE orders_order SET reason = '' WHERE id = %(declined)s",
           also="an_order_agrees_with_its_saga"),
)  # fmt: skip

KEYS = (
    broken(
        "every_answered_order_is_there",
        "UPDATE idempotency_idempotencykey SET resource_id = gen_random_uuid() WHERE resource_id = %(confirmed)s::text",
    ),
    broken(
        "an_answer_is_about_the_order_of_its_caller",
        "UPDATE idempotency_idempotencykey SET caller = 'user:0' WHERE resource_id = %(confirmed)s::text",
    ),
    broken(
        "an_answer_is_about_the_order_of_its_caller",
        "UPDATE orders_order SET currency = 'USD' WHERE id = %(never_begun)s",
    ),
    broken(
        "an_order_answers_one_key",
        twin("idempotency_idempotencykey", "old.resource_id = %(confirmed)s::text", id=NEW, key="'another'"),
    ),
    broken(
        "a_key_is_used_once_per_caller_and_route",
        twin("idempotency_idempotencykey", "old.resource_id = %(confirmed)s::text", id=NEW, resource_id="''"),
    ),
    broken(
        "a_key_has_its_answer",
        "UPDATE idempotency_idempotencykey SET body = NULL, status_code = NULL, resource_id = ''"
        " WHERE resource_id = %(confirmed)s::text",
    ),
)

MONEY = (
    broken(
        "a_confirmed_order_kept_its_total",
        "UPDATE payments_payment SET status = 'declined', captured_minor = 0 WHERE order_id = %(confirmed)s",
    ),
    broken(
        "an_order_that_failed_kept_nothing",
        "UPDATE payments_payment SET status = 'captured', refunded_minor = 0 WHERE order_id = %(unshippable)s",
        "DELETE FROM payments_refund WHERE order_id = %(unshippable)s",
        also="only_what_happened_is_told",
    ),
    broken(
        "a_payment_asks_what_its_order_costs",
        "UPDATE payments_payment SET currency = 'USD' WHERE order_id = %(confirmed)s",
    ),
    broken(
        "a_payments_status_tells_its_amounts",
        "UPDATE payments_payment SET status = 'absent' WHERE order_id = %(confirmed)s",
    ),
    broken(
        "one_live_charge_per_order",
        twin("payments_payment", "old.order_id = %(under_way)s", id=NEW, provider_reference="'other'"),
        also="one_key_per_operation",
    ),
    broken(
        "a_refund_never_exceeds_its_charge",
        "UPDATE payments_refund SET amount_minor = amount_minor + 1 WHERE order_id = %(unshippable)s",
    ),
    broken(
        "one_live_refund_per_payment",
        twin("payments_refund", "old.order_id = %(unshippable)s", id=NEW, provider_reference="'other'"),
        also="a_refund_never_exceeds_its_charge",
    ),
    broken(
        "one_key_per_operation",
        twin(
            "payments_payment", "old.order_id = %(declined)s",
            id=NEW, provider_key="old.provider_key || ':again'",
        ),
        also="a_provider_key_is_its_sagas_own",
    ),
    broken(
        "no_payment_stays_unknown",
        "UPDATE payments_payment SET status = 'unknown' WHERE order_id = %(declined)s",
        also="no_refund_while_a_charge_is_unknown",
    ),
    broken(
        "no_refund_stays_unknown",
        twin("payments_refund", "old.order_id = %(unshippable)s", id=NEW, status="'unknown'", payment_id=NEW),
    ),
    broken(
        "a_payment_has_its_order",
        twin("payments_payment", "old.order_id = %(declined)s", id="uuidv7()", order_id=NEW),
    ),
)  # fmt: skip

STOCK = (
    broken(
        "stock_is_never_oversold",
        "UPDATE inventory_stockitem SET on_hand = -1 WHERE sku = 'SCARCE'",
    ),
    broken(
        "reserved_is_the_sum_of_open_reservations",
        "UPDATE inventory_stockitem SET reserved = reserved + 1 WHERE sku = 'WIDGET'",
    ),
    broken(
        "what_live_sagas_reserve_is_counted",
        "UPDATE inventory_stockitem SET reserved = reserved - 1 WHERE sku = 'WIDGET'",
        also="reserved_is_the_sum_of_open_reservations",
    ),
    broken(
        "a_confirmed_order_took_its_lines",
        "UPDATE inventory_reservation SET quantity = 7 WHERE order_id = %(confirmed)s",
    ),
    broken(
        "only_a_confirmed_order_takes_stock",
        "UPDATE inventory_reservation SET state = 'committed' WHERE order_id = %(unshippable)s",
    ),
    broken(
        "one_reservation_per_order_and_sku",
        twin("inventory_reservation", "old.order_id = %(unshippable)s", id="old.id + 1000"),
    ),
    broken(
        "what_was_sold_since_a_restock_left_the_shelf",
        "INSERT INTO outbox_operatoract (id, verb, target_type, target_id, reason, detail, acted_at) VALUES"
        " (uuidv7(), 'restock', 'stockitem', 'SCARCE', 'more', '{\"on_hand\": 9}', now() - interval '1 hour')",
    ),
    broken(
        "no_order_is_refused_what_is_still_there",
        "UPDATE inventory_stockitem SET on_hand = 2 WHERE sku = 'SCARCE'",
    ),
)

PARCELS = (
    broken(
        "a_confirmed_order_has_one_shipment",
        "UPDATE shipping_shipment SET status = 'refused' WHERE order_id = %(confirmed)s",
    ),
    broken(
        "an_order_that_failed_has_no_shipment",
        "UPDATE shipping_shipment SET status = 'created' WHERE order_id = %(cancelled_late)s",
        "DELETE FROM shipping_cancellation WHERE order_id = %(cancelled_late)s",
    ),
    broken(
        "no_shipment_stays_unknown",
        "UPDATE shipping_shipment SET status = 'unknown' WHERE order_id = %(unshippable)s",
    ),
    broken(
        "no_cancellation_stays_unknown",
        twin("shipping_cancellation", "old.order_id = %(cancelled_late)s", id=NEW, status="'unknown'", shipment_id=NEW),
    ),
    broken(
        "a_cancelled_shipment_was_taken_back",
        "DELETE FROM shipping_cancellation WHERE order_id = %(cancelled_late)s",
    ),
    broken(
        "a_shipment_carries_what_was_ordered",
        "UPDATE shipping_shipment SET lines = '[[\"WIDGET\", 5]]' WHERE order_id = %(confirmed)s",
    ),
    broken(
        "a_shipment_has_its_order",
        twin("shipping_shipment", "old.order_id = %(unshippable)s", id="uuidv7()", order_id=NEW),
    ),
)
