"""Parcels: one active shipment for a confirmed order and none otherwise, by our own rows (I5, I13).

The carrier's books are compared by comparison.py.
"""

from audit.check import Check

CHECKS = (
    Check(
        promise="I5",
        name="a_confirmed_order_has_one_shipment",
        says="The order is confirmed, and it does not have exactly one active shipment.",
        # Index shipment_by_order.
        sql="""
            SELECT o.id AS order_id, count(s.id) AS active FROM audit_order o
            LEFT JOIN shipping_shipment s ON s.order_id = o.id AND s.status IN ('created', 'late')
            WHERE o.settled AND NOT o.answered_for AND o.status = 'confirmed'
            GROUP BY o.id HAVING count(s.id) <> 1
        """,
    ),
    Check(
        promise="I8",
        name="an_order_that_failed_has_no_shipment",
        says="The order was rejected or cancelled, and a shipment of it is active.",
        # Index shipment_by_order.
        sql="""
            SELECT o.id AS order_id, o.status, s.id AS shipment_id, s.status AS shipment_status
            FROM audit_order o JOIN shipping_shipment s ON s.order_id = o.id
            WHERE o.settled AND NOT o.answered_for AND o.status <> 'confirmed' AND s.status IN ('created', 'late')
        """,
    ),
    Check(
        promise="I13",
        name="no_shipment_stays_unknown",
        says="The order has ended, and nobody knows what became of its shipment.",
        # Index shipment_by_order.
        sql="""
            SELECT s.id AS shipment_id, o.id AS order_id, o.status AS order_status, s.status
            FROM audit_order o JOIN shipping_shipment s ON s.order_id = o.id
            WHERE o.settled AND s.status IN ('pending', 'unknown')
        """,
    ),
    Check(
        promise="I13",
        name="no_cancellation_stays_unknown",
        says="The order has ended, and nobody knows whether its shipment was taken back.",
        # Index cancellation_by_order.
        sql="""
            SELECT c.id AS cancellation_id, o.id AS order_id, o.status AS order_status, c.status
            FROM audit_order o JOIN shipping_cancellation c ON c.order_id = o.id
            WHERE o.settled AND NOT o.answered_for AND c.status IN ('pending', 'unknown')
        """,
    ),
    Check(
        promise="I8",
        name="a_cancelled_shipment_was_taken_back",
        says="The shipment's status and its cancellations tell different stories.",
        # Index shipment_by_order, the foreign key's index of cancellations.
        sql="""
            SELECT s.id AS shipment_id, s.order_id, s.status, array_agg(c.status) AS cancellations
            FROM shipping_shipment s LEFT JOIN shipping_cancellation c ON c.shipment_id = s.id
            WHERE s.order_id IN (SELECT id FROM audit_order)
            GROUP BY s.id, s.order_id, s.status
            HAVING (s.status = 'cancelled') <> coalesce(bool_or(c.status = 'cancelled'), false)
                OR count(*) FILTER (WHERE c.status <> 'refused') > 1
        """,
    ),
    Check(
        promise="I5",
        name="a_shipment_carries_what_was_ordered",
        says="The shipment's lines are not its order's.",
        # Indexes shipment_by_order, one_line_per_order_and_sku.
        sql="""
            SELECT o.id AS order_id, s.id AS shipment_id, s.lines
            FROM audit_order o JOIN shipping_shipment s ON s.order_id = o.id AND s.status = 'created'
            CROSS JOIN LATERAL (
                SELECT jsonb_agg(jsonb_build_array(line.sku, line.quantity)) AS lines
                FROM orders_orderline line WHERE line.order_id = o.id) ordered
            WHERE NOT (s.lines @> ordered.lines AND ordered.lines @> s.lines)
        """,
    ),
    Check(
        promise="I5",
        name="a_shipment_has_its_order",
        says="The shipment is of an order that does not exist.",
        # Primary keys of both.
        sql="""
            SELECT s.id AS shipment_id, s.order_id, s.status FROM shipping_shipment s
            WHERE s.id BETWEEN %(since_key)s AND %(until_key)s
              AND NOT EXISTS (SELECT FROM orders_order o WHERE o.id = s.order_id)
        """,
    ),
)
