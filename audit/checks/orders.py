"""Orders: each has its messages, its end and its lines (I1, I9).

Messages are looked up while the outbox must still have them: a purge removes what ended longer ago than the retention,
and no message of an order ended before the order was placed.
"""

from audit.check import Check, When

KEPT = "statement_timestamp() - make_interval(days => %(messages_kept_days)s)"

CHECKS = (
    Check(
        promise="I1",
        name="every_order_has_its_created_message",
        says="The order is there, its order.created.v1 is not, though younger than the outbox's retention.",
        # Index one_message_per_aggregate_sequence_and_destination.
        sql=f"""
            SELECT o.id AS order_id, o.status, o.placed_at FROM audit_order o
            WHERE o.placed_at > {KEPT} AND NOT EXISTS (
                SELECT FROM outbox_outboxmessage m
                WHERE m.aggregate_id = o.id AND m.sequence = 1 AND m.destination = 'orders.start_fulfilment'
                  AND m.type = 'order.created.v1')
        """,
    ),
    Check(
        promise="I1",
        name="every_created_message_has_its_order",
        says="A message says that the order was created, and there is no such order.",
        # Primary keys of both.
        sql="""
            SELECT m.message_id, m.aggregate_id AS order_id, m.state FROM outbox_outboxmessage m
            WHERE m.key BETWEEN %(since_key)s AND %(until_key)s AND m.type = 'order.created.v1'
              AND NOT EXISTS (SELECT FROM orders_order o WHERE o.id = m.aggregate_id)
        """,
    ),
    Check(
        promise="I1",
        name="every_end_is_published",
        says="The order has ended and the event that says so is missing, though younger than the outbox's retention.",
        # Index one_message_per_aggregate_sequence_and_destination. Its destination tells the customer.
        sql=f"""
            SELECT o.id AS order_id, o.status, o.ended_at FROM audit_order o
            WHERE o.settled AND o.ended_at > {KEPT} AND NOT EXISTS (
                SELECT FROM outbox_outboxmessage m
                WHERE m.aggregate_id = o.id AND m.sequence BETWEEN 2 AND o.sequence
                  AND m.destination = 'notifications.order_' || o.status AND m.type = 'order.' || o.status || '.v1')
        """,
    ),
    Check(
        promise="I1",
        name="no_order_is_lost",
        says="The order is pending, and no open or dead message and no live saga will ever move it.",
        # Index outbox_dead: the dead are few. A dead message is visible elsewhere and waits for a person.
        sql="""
            SELECT o.id AS order_id, o.placed_at FROM audit_order o
            WHERE o.status = 'pending' AND NOT o.under_way AND NOT EXISTS (
                SELECT FROM outbox_outboxmessage m WHERE m.state = 'dead' AND m.correlation_id = o.id)
        """,
    ),
    Check(
        promise="I5",
        name="an_order_ends_once",
        says="The order's events tell of more than one end, or of another one than its status.",
        # Index one_message_per_aggregate_sequence_and_destination.
        sql="""
            SELECT o.id AS order_id, o.status, array_agg(DISTINCT m.type) AS ends, count(DISTINCT m.message_id)
            FROM audit_order o JOIN outbox_outboxmessage m ON m.aggregate_id = o.id
            WHERE m.type IN ('order.confirmed.v1', 'order.rejected.v1', 'order.cancelled.v1')
            GROUP BY o.id, o.status
            HAVING count(DISTINCT m.message_id) > 1 OR bool_or(m.type <> 'order.' || o.status || '.v1')
        """,
    ),
    Check(
        promise="I9",
        name="an_orders_total_is_the_sum_of_its_lines",
        says="The order's total is not the sum of quantity × price over its lines.",
        # Index one_line_per_order_and_sku.
        sql="""
            SELECT o.id AS order_id, o.total_minor,
                   coalesce(sum(line.quantity * line.unit_price_minor), 0) AS lines_minor
            FROM audit_order o LEFT JOIN orders_orderline line ON line.order_id = o.id
            GROUP BY o.id, o.total_minor
            HAVING o.total_minor IS DISTINCT FROM sum(line.quantity * line.unit_price_minor)
                OR bool_or(line.line_total_minor <> line.quantity * line.unit_price_minor)
        """,
    ),
    Check(
        promise="I11",
        name="every_order_has_ended",
        says="Everything is at rest, and the order is still pending.",
        sql="SELECT o.id AS order_id, o.placed_at FROM audit_order o WHERE o.status = 'pending'",
        when=When.AT_REST,
    ),
    Check(
        promise="I11",
        name="an_order_has_an_end_if_and_only_if_it_ended",
        says="The order's status and its time of end tell different stories.",
        sql="""
            SELECT o.id AS order_id, o.status, o.reason, o.ended_at FROM audit_order o
            WHERE (o.status = 'pending') <> (o.ended_at IS NULL) OR (o.status = 'rejected' AND o.reason = '')
        """,
    ),
)
