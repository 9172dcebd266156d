"""Guards of intake: the order, its idempotency key and its first message (I1, I2, I9)."""

from tests.sabotage.guard import CODE, POSTGRES, Guard
from tests.sabotage.removal import Edit, constraint

KEYS = "idempotency_idempotencykey"
DECORATORS = "tests/idempotency/test_decorators.py"
INTAKE = "tests/orders/test_intake.py"
ORDERS = "tests/orders/test_services.py"

ON_CONFLICT = Edit("idempotency.services.CLAIM", "ON CONFLICT (caller, key, method, path) DO NOTHING")
ONE_TRANSACTION = Edit(
    "idempotency.decorators._in_one_transaction",
    "with transaction.atomic(durable=True):",
    'with __import__("contextlib").nullcontext():',
)
NO_UNDO = Edit("idempotency.decorators._in_one_transaction", "transaction.set_rollback(True)", "pass")
PUBLISH = "publish(_created(order, lines), aggregate_id=order_id, sequence=order.sequence, correlation_id=order_id)"

GUARDS = [
    Guard(
        name="unique_key",
        promises="I2",
        guards="one row, and so one execution, per caller, route and key",
        layers={
            CODE: [ON_CONFLICT],
            POSTGRES: [constraint(KEYS, "one_use_per_caller_key_and_route")],
        },
        caught_by=[
            "tests/sabotage/test_bad_rows.py::TestIntake::test_one_key_never_places_two_orders",
            f"{DECORATORS}::test_a_repetition_gets_the_same_bytes_and_location_and_does_nothing",
            "tests/idempotency/test_guards.py"
            "::test_a_second_use_of_one_key_by_one_caller_on_one_route_is_refused_by_postgres",
        ],
        alone={
            CODE: ["tests/sabotage/test_bad_rows.py::TestIntake::test_one_key_never_places_two_orders"],
            POSTGRES: ["tests/sabotage/test_bad_rows.py::TestIntake::test_one_key_never_places_two_orders"],
        },
        shows_as=["KeyError"],
    ),
    Guard(
        name="fingerprint",
        promises="I2",
        guards="a key that comes with another body is a 422, never a replay of something else",
        layers={
            CODE: [Edit("idempotency.services._claim", "if bytes(fingerprint) != use.fingerprint:", "if False:")],
        },
        caught_by=[
            f"{DECORATORS}::test_another_body_is_a_422_and_does_nothing",
            f"{INTAKE}::test_the_same_key_with_another_body_is_a_422",
        ],
    ),
    Guard(
        name="caller_scope",
        promises="I2",
        guards="a key belongs to its caller: nobody is answered with somebody else's order",
        layers={
            CODE: [Edit("idempotency.decorators.caller_of", 'f"user:{request.user.pk}"', '"user:everybody"')],
        },
        caught_by=[
            "tests/sabotage/test_bad_rows.py::TestIntake::test_nobody_is_answered_with_somebody_elses_order",
            f"{DECORATORS}::test_another_callers_same_key_is_another_key",
            f"{INTAKE}::test_another_customers_same_key_places_another_order",
        ],
    ),
    Guard(
        name="claim_in_the_orders_commit",
        promises="I2",
        guards="the key, the order and the stored answer commit together or not at all",
        layers={CODE: [ONE_TRANSACTION, NO_UNDO]},
        caught_by=[
            "tests/sabotage/test_bad_rows.py::TestIntake::test_no_key_is_left_without_its_answer",
            f"{INTAKE}::test_a_crash_before_commit_leaves_nothing_and_the_retry_places_one[idempotency.services.store]",
            f"{INTAKE}::test_a_crash_before_commit_leaves_nothing_and_the_retry_places_one[orders.services.publish]",
        ],
    ),
    Guard(
        name="a_refusal_undoes_everything",
        promises="I2",
        guards="an answer of 400 or above leaves neither a key nor an effect",
        layers={
            CODE: [Edit("idempotency.decorators._is_success", "200 <= response.status_code < 300", "True")],
            POSTGRES: [constraint(KEYS, "only_whole_successful_answers_are_stored")],
        },
        caught_by=[
            f"{DECORATORS}::test_an_answer_that_is_no_success_undoes_everything_and_is_not_stored",
            "tests/idempotency/test_guards.py::test_an_answer_that_is_no_success_is_refused_by_postgres",
        ],
        alone={POSTGRES: [f"{DECORATORS}::test_an_answer_that_is_no_success_undoes_everything_and_is_not_stored"]},
    ),
    Guard(
        name="lost_commit_is_looked_up",
        promises="I1, I2",
        guards="a COMMIT whose reply was lost is never taken for one that did not happen",
        layers={
            CODE: [Edit("idempotency.decorators._look_up", "if has_landed is not None and has_landed():", "if True:")]
        },
        caught_by=["tests/idempotency/test_commit.py::test_a_commit_that_did_not_happen_is_a_503_and_the_retry_runs"],
    ),
    Guard(
        name="outbox_row_in_the_transaction",
        promises="I1",
        guards="the order's message commits with the order, not after it",
        layers={
            CODE: [
                Edit("orders.services.place_order", PUBLISH, f"transaction.on_commit(lambda: {PUBLISH})"),
                Edit("outbox.publisher._require_transaction", "raise NotInTransaction", "pass"),
            ],
        },
        caught_by=[
            "tests/sabotage/test_bad_rows.py::TestIntake::test_no_order_is_left_without_its_message",
            f"{INTAKE}::test_a_crash_before_commit_leaves_nothing_and_the_retry_places_one[orders.services.publish]",
            "tests/outbox/test_publisher.py::TestTransaction::test_outside_a_transaction_it_is_an_error",
        ],
    ),
    Guard(
        name="an_order_ends_once",
        promises="I9",
        guards="of two ends exactly one wins; what has ended never changes",
        layers={
            CODE: [
                Edit("orders.services.END", "AND status = 'pending' ORDER BY", "ORDER BY"),
                Edit("orders.services.END", "AND orders.status = 'pending'"),
            ],
        },
        caught_by=[
            "tests/sabotage/test_bad_rows.py::test_an_order_never_ends_twice",
            f"{ORDERS}::test_each_end_is_published_once_with_its_sequence",
            f"{ORDERS}::test_of_two_ends_at_once_exactly_one_wins",
            f"{ORDERS}::test_a_batch_answers_which_orders_it_ended",
        ],
    ),
    Guard(
        name="line_total",
        promises="I9",
        guards="a line's total is its quantity times its price",
        layers={POSTGRES: [constraint("orders_orderline", "order_line_total_is_quantity_times_price")]},
        caught_by=["tests/orders/test_guards.py::test_a_wrong_line_total_does_not_get_past_postgres"],
    ),
]
