"""Guards of the participants: money, stock, parcels, webhooks, providers (I3, I9, I10, I11, I13)."""

from tests.sabotage.guard import CODE, POSTGRES, Guard
from tests.sabotage.removal import Edit, constraint, index

CHARGES = "tests/payments/test_charges.py"
REFUNDS = "tests/payments/test_refunds.py"
MONEY = "tests/payments/test_guards.py"
WEBHOOKS = "tests/payments/test_webhooks.py"
STOCK = "tests/inventory/test_services.py"
SHIPMENTS = "tests/shipping/test_guards.py"
BAD_ROWS = "tests/sabotage/test_bad_rows.py"

TOO_MUCH = Edit(
    "inventory.services._serve", "if all(quantity <= left[sku] for sku, quantity in wanted.items()):", "if True:"
)
UNGUARDED = Edit("inventory.services.RESERVE", "AND stock.reserved + wanted.quantity <= stock.on_hand")

GUARDS = [
    Guard(
        name="one_live_payment_per_order",
        promises="I3",
        guards="Postgres refuses a second payment that is, or may be, at the provider",
        layers={POSTGRES: [index("payment_one_live_per_order")]},
        caught_by=[
            f"{MONEY}::test_a_second_charge_of_one_order_is_refused_by_postgres",
            f"{MONEY}::test_a_second_charge_beside_a_captured_one_is_refused_by_postgres",
            f"{CHARGES}::test_a_second_live_payment_of_one_order_is_refused",
        ],
    ),
    Guard(
        name="a_provider_key_is_used_once",
        promises="I3",
        guards="one key, one payment; one key, one refund",
        layers={
            POSTGRES: [
                constraint("payments_payment", "payment_provider_key_is_used_once"),
                constraint("payments_refund", "refund_provider_key_is_used_once"),
            ]
        },
        caught_by=[
            f"{MONEY}::test_a_provider_key_used_twice_is_refused_by_postgres",
            f"{MONEY}::test_a_refunds_provider_key_used_twice_is_refused_by_postgres",
        ],
    ),
    Guard(
        name="one_key_one_content",
        promises="I3",
        guards="a key that was noted for one charge is never sent with another amount",
        layers={CODE: [Edit("payments.services.charges._check_same", "if noted != ", "if False and noted != ")]},
        caught_by=[f"{CHARGES}::test_one_key_means_one_operation"],
    ),
    Guard(
        name="refund_at_most_what_was_captured",
        promises="I3, I9",
        guards="a refund never exceeds its charge",
        layers={
            CODE: [
                Edit(
                    "payments.services.refunds._new_refund",
                    "payment.captured_minor - payment.refunded_minor",
                    "2 * payment.captured_minor",
                )
            ],
            POSTGRES: [
                constraint("payments_payment", "payment_refunds_never_exceed_captured"),
                constraint("payments_payment", "payment_refunded_means_all_of_it"),
            ],
        },
        caught_by=[
            f"{MONEY}::test_a_refund_beyond_its_charge_is_refused_by_postgres",
            f"{MONEY}::test_refunded_means_all_of_it_and_nothing_else_does",
            f"{BAD_ROWS}::test_no_more_is_given_back_than_was_taken",
        ],
        alone={
            POSTGRES: [
                f"{BAD_ROWS}::test_no_more_is_given_back_than_was_taken",
                f"{REFUNDS}::test_a_receipt_gives_the_money_back_and_is_published_once",
            ],
        },
    ),
    Guard(
        name="one_live_refund_per_payment",
        promises="I3",
        guards="two refunds of one payment that are not refused would pay twice",
        layers={POSTGRES: [index("refund_one_live_per_payment")]},
        caught_by=[f"{MONEY}::test_a_second_live_refund_of_one_payment_is_refused_by_postgres"],
    ),
    Guard(
        name="captured_in_full_or_not_at_all",
        promises="I9",
        guards="a payment's status never tells another story than its amounts",
        layers={POSTGRES: [constraint("payments_payment", "payment_captured_in_full_or_not_at_all")]},
        caught_by=[f"{MONEY}::test_a_status_that_tells_another_story_than_the_amounts_is_refused_by_postgres"],
    ),
    Guard(
        name="known_statuses",
        promises="I13",
        guards="a payment or a parcel is in a known status, and one of them is unknown",
        layers={
            "payments": [constraint("payments_payment", "payment_status_is_known")],
            "shipping": [constraint("shipping_shipment", "shipment_status_is_known")],
        },
        caught_by=[f"{SHIPMENTS}::test_an_unknown_status_is_refused_by_postgres"],
        beside="payment_captured_in_full_or_not_at_all, which knows every status",
        alone={"payments": [f"{MONEY}::test_an_unknown_status_of_a_payment_is_refused_by_postgres"]},
    ),
    Guard(
        name="no_refund_while_unknown",
        promises="I13",
        guards="no refund is asked for while nobody knows whether there was a charge",
        layers={CODE: [Edit("payments.services.refunds._refundable", "if unresolved:", "if False:")]},
        caught_by=[f"{REFUNDS}::test_while_the_charge_is_unknown_nothing_is_refunded"],
    ),
    Guard(
        name="a_fact_never_gives_way",
        promises="I3, I9",
        guards="what a provider confirmed is never overwritten by a lesser answer of a stale runner",
        layers={CODE: [Edit("providers.rows.move", "if target in allowed:", "if True:")]},
        caught_by=[
            f"{CHARGES}::test_a_capture_never_gives_way_to_a_lesser_fact_of_a_stale_runner",
            f"{REFUNDS}::test_a_refund_never_gives_way_to_a_lesser_fact_of_a_stale_runner",
            "tests/providers/test_rows.py::test_a_row_moves_to_the_first_target_that_its_status_allows",
        ],
    ),
    Guard(
        name="guarded_write_of_a_fact",
        promises="I3",
        guards="a row that changed since it was read is not written over",
        layers={CODE: [Edit("providers.rows._statement", "AND t.status = v.was")]},
        caught_by=["tests/providers/test_rows.py::test_a_row_that_changed_since_it_was_read_is_not_written_over"],
    ),
    Guard(
        name="what_nobody_named_is_no_success",
        promises="I13",
        guards="an answer of a provider that is not a receipt is never taken for one",
        layers={
            CODE: [
                Edit("orders.sagas._outcome", 'raise TypeError(f"no answer of a provider: {fact!r}")', "return Done()")
            ]
        },
        caught_by=["tests/orders/test_outcomes.py::test_i13_what_nobody_has_named_is_no_success"],
    ),
    Guard(
        name="webhook_event_id",
        promises="I5",
        guards="one webhook event has one effect, however often it comes",
        layers={CODE: [Edit("payments.webhooks.note", "if not inbox.record(CONSUMER, [hint_id]):", "if False:")]},
        caught_by=[f"{WEBHOOKS}::test_a_replayed_event_is_answered_and_has_no_second_effect"],
    ),
    Guard(
        name="webhook_signature",
        promises="I9",
        guards="only what the provider signed, recently, is looked at",
        layers={CODE: [Edit("payments.webhooks.verify", "if not any(matches) or not is_recent:", "if False:")]},
        caught_by=[f"{WEBHOOKS}::test_a_forged_or_stale_webhook_is_refused_and_leaves_nothing"],
    ),
    Guard(
        name="stock_guard",
        promises="I10",
        guards="no more is reserved than there is",
        layers={
            CODE: [TOO_MUCH, UNGUARDED],
            POSTGRES: [constraint("inventory_stockitem", "stock_is_never_oversold")],
        },
        caught_by=[
            f"{STOCK}::test_an_order_that_lacks_one_line_reserves_nothing",
            f"{STOCK}::test_orders_are_served_in_id_order_and_the_rest_refused",
            "tests/inventory/test_guards.py::test_reserving_beyond_what_is_on_hand_is_refused_by_postgres",
            f"{BAD_ROWS}::test_nothing_is_ever_oversold",
        ],
        alone={
            CODE: [f"{BAD_ROWS}::test_nothing_is_ever_oversold"],
            POSTGRES: [
                f"{BAD_ROWS}::test_nothing_is_ever_oversold",
                f"{STOCK}::test_many_threads_sell_the_smaller_of_demand_and_stock",
            ],
        },
    ),
    Guard(
        name="one_reservation_per_order_and_sku",
        promises="I5, I10",
        guards="an order reserves a product once, however often it is asked",
        layers={
            CODE: [
                Edit("inventory.services.RESERVE", "WHERE order_id = ANY(%(asked)s)", "WHERE false"),
            ],
            POSTGRES: [constraint("inventory_reservation", "one_reservation_per_order_and_sku")],
        },
        caught_by=[
            f"{STOCK}::test_reserving_again_changes_nothing",
            f"{STOCK}::test_a_released_order_does_not_reserve_again",
            "tests/inventory/test_guards.py"
            "::test_a_second_reservation_of_one_product_for_one_order_is_refused_by_postgres",
            f"{BAD_ROWS}::test_an_order_never_reserves_twice",
        ],
        alone={
            CODE: [f"{BAD_ROWS}::test_an_order_never_reserves_twice"],
            POSTGRES: [
                f"{BAD_ROWS}::test_an_order_never_reserves_twice",
                f"{STOCK}::test_reserving_again_changes_nothing",
            ],
        },
    ),
    Guard(
        name="stock_is_given_back_once",
        promises="I10",
        guards="a reservation that ended is not released or committed again",
        layers={
            CODE: [Edit("inventory.services.END_RESERVATIONS", "AND state = 'reserved'\n    RETURNING", "RETURNING")]
        },
        caught_by=[
            f"{STOCK}::test_release_gives_back_once",
            f"{STOCK}::test_commit_takes_from_the_shelf_once",
            f"{STOCK}::test_what_is_committed_is_not_released",
        ],
    ),
    Guard(
        name="one_live_shipment_per_order",
        promises="I3",
        guards="an order has at most one parcel that is, or may be, at the carrier",
        layers={POSTGRES: [index("shipment_one_live_per_order")]},
        caught_by=[f"{SHIPMENTS}::test_a_second_live_shipment_of_one_order_is_refused_by_postgres"],
    ),
    Guard(
        name="one_notice_per_order_and_kind",
        promises="I5",
        guards="an end is told in one notice",
        layers={POSTGRES: [constraint("notifications_notification", "one_notification_per_order_and_kind")]},
        caught_by=[
            "tests/notifications/test_consumers.py::TestOnce::test_postgres_refuses_a_second_row_per_order_and_kind"
        ],
    ),
    Guard(
        name="breakers_single_trial",
        promises="I11",
        guards="of many callers exactly one tries whether the provider is back",
        layers={
            CODE: [
                Edit(
                    "providers.breaker.TAKE_TRIAL",
                    "AND epoch = %(epoch)s AND state <> 'closed' AND retry_at <= clock_timestamp()",
                    "AND state <> 'closed'",
                )
            ]
        },
        caught_by=[
            "tests/providers/test_breaker.py::test_of_many_callers_at_once_exactly_one_gets_the_trial",
            "tests/providers/test_breaker.py::test_no_trial_before_its_time",
        ],
    ),
    Guard(
        name="a_breaker_has_a_time_to_retry",
        promises="I11",
        guards="a breaker that is not closed says when it is tried again",
        layers={POSTGRES: [constraint("providers_breaker", "breaker_not_closed_has_a_time_to_retry")]},
        caught_by=[
            "tests/providers/test_breaker.py::test_an_open_breaker_without_a_time_to_retry_is_refused_by_postgres"
        ],
    ),
    Guard(
        name="call_slots",
        promises="I11",
        guards="no more calls are under way than a provider has slots",
        layers={
            CODE: [
                Edit(
                    "providers.gate.Gate._left",
                    "return self._most() + self._slots.ahead - self._taken",
                    "return self.limits.call_slots",
                )
            ]
        },
        caught_by=[
            "tests/providers/test_gate.py::test_no_more_calls_are_admitted_than_slots_are_free",
            "tests/providers/test_gate.py::test_a_call_given_up_keeps_its_slot_until_its_thread_ends",
        ],
    ),
    Guard(
        name="key_purge_horizon",
        promises="I14",
        guards="only keys that have expired are purged",
        layers={
            CODE: [
                Edit(
                    "idempotency.operations.PURGE",
                    "WHERE expires_at <= statement_timestamp() - %(older_than)s",
                    "WHERE %(older_than)s IS NOT NULL",
                )
            ]
        },
        caught_by=[
            "tests/idempotency/test_operations.py::test_a_purge_removes_what_has_expired_and_nothing_else",
            "tests/idempotency/test_operations.py::test_a_purge_by_age_leaves_what_expired_later",
        ],
    ),
]
