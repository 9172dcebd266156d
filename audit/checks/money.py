"""Money: what was captured and given back is what the orders say (I3, I9, I13), by our own rows.

The provider's books are compared by comparison.py. Where an operator skipped a charge or a refund, that person answers
for what is left.
"""

from audit.check import Check

KEPT_PER_ORDER = """
    SELECT o.id AS order_id, o.status, o.total_minor,
           coalesce(sum(p.captured_minor - p.refunded_minor), 0) AS kept_minor
    FROM audit_order o LEFT JOIN payments_payment p ON p.order_id = o.id
    WHERE o.settled AND NOT o.answered_for
    GROUP BY o.id, o.status, o.total_minor
"""

CHECKS = (
    Check(
        promise="I9",
        name="a_confirmed_order_kept_its_total",
        says="The order is confirmed, and what was captured and not refunded is not its total.",
        # Index payment_by_order.
        sql=f"SELECT * FROM ({KEPT_PER_ORDER}) k WHERE k.status = 'confirmed' AND k.kept_minor <> k.total_minor",
    ),
    Check(
        promise="I9",
        name="an_order_that_failed_kept_nothing",
        says="The order was rejected or cancelled, and money of it was kept.",
        # Index payment_by_order.
        sql=f"SELECT * FROM ({KEPT_PER_ORDER}) k WHERE k.status <> 'confirmed' AND k.kept_minor <> 0",
    ),
    Check(
        promise="I9",
        name="a_payment_asks_what_its_order_costs",
        says="The payment's amount or currency is not its order's.",
        # Index payment_by_order.
        sql="""
            SELECT p.id AS payment_id, o.id AS order_id, p.amount_minor, o.total_minor, p.currency
            FROM audit_order o JOIN payments_payment p ON p.order_id = o.id
            WHERE (p.amount_minor, p.currency) IS DISTINCT FROM (o.total_minor, o.currency)
        """,
    ),
    Check(
        promise="I9",
        name="a_payments_status_tells_its_amounts",
        says="The payment's status and its amounts tell different stories.",
        # Primary key.
        sql="""
            SELECT p.id AS payment_id, p.order_id, p.status, p.captured_minor, p.refunded_minor
            FROM payments_payment p
            WHERE p.id BETWEEN %(since_key)s AND %(until_key)s AND (
                p.captured_minor
                    <> CASE WHEN p.status IN ('captured', 'late', 'refunded') THEN p.amount_minor ELSE 0 END
                OR (p.status = 'refunded') <> (p.captured_minor > 0 AND p.refunded_minor = p.captured_minor))
        """,
    ),
    Check(
        promise="I3",
        name="one_live_charge_per_order",
        says="The order has more than one charge that holds money, or may.",
        # Index payment_by_order.
        sql="""
            SELECT o.id AS order_id, array_agg(p.id) AS payment_ids, array_agg(p.status) AS statuses
            FROM audit_order o JOIN payments_payment p ON p.order_id = o.id
            WHERE p.status IN ('pending', 'unknown', 'captured') OR (p.status = 'late' AND o.settled)
            GROUP BY o.id HAVING count(*) > 1
        """,
    ),
    Check(
        promise="I3",
        name="a_refund_never_exceeds_its_charge",
        says="More was given back than was captured, or the payment counts other refunds than there are.",
        # Foreign key's index of refunds.
        sql="""
            SELECT p.id AS payment_id, p.order_id, p.captured_minor, p.refunded_minor,
                   coalesce(sum(r.amount_minor), 0) AS refunds_minor
            FROM payments_payment p LEFT JOIN payments_refund r ON r.payment_id = p.id AND r.status = 'refunded'
            WHERE p.order_id IN (SELECT id FROM audit_order)
            GROUP BY p.id, p.order_id, p.captured_minor, p.refunded_minor
            HAVING p.refunded_minor > p.captured_minor OR coalesce(sum(r.amount_minor), 0) <> p.refunded_minor
        """,
    ),
    Check(
        promise="I3",
        name="one_live_refund_per_payment",
        says="More than one refund of the payment was made, or may have been.",
        # Primary key of refunds.
        sql="""
            SELECT r.payment_id, array_agg(r.id) AS refund_ids, array_agg(r.status) AS statuses
            FROM payments_refund r WHERE r.status <> 'refused' AND r.order_id IN (SELECT id FROM audit_order)
            GROUP BY r.payment_id HAVING count(*) > 1
        """,
    ),
    Check(
        promise="I13",
        name="one_key_per_operation",
        says="The order was charged, or its parcel asked for, under more than one key.",
        # Indexes payment_by_order, shipment_by_order.
        sql="""
            SELECT o.id AS order_id, asked.what, array_agg(asked.provider_key) AS provider_keys FROM audit_order o
            CROSS JOIN LATERAL (
                SELECT 'charge' AS what, p.provider_key FROM payments_payment p WHERE p.order_id = o.id
                UNION ALL
                SELECT 'shipment', s.provider_key FROM shipping_shipment s WHERE s.order_id = o.id) asked
            GROUP BY o.id, asked.what HAVING count(*) > 1
        """,
    ),
    Check(
        promise="I13",
        name="no_payment_stays_unknown",
        says="The order has ended, and nobody knows what became of its charge.",
        # Index payment_by_order.
        sql="""
            SELECT p.id AS payment_id, o.id AS order_id, o.status AS order_status, p.status
            FROM audit_order o JOIN payments_payment p ON p.order_id = o.id
            WHERE o.settled AND p.status IN ('pending', 'unknown')
        """,
    ),
    Check(
        promise="I13",
        name="no_refund_stays_unknown",
        says="The order has ended, and nobody knows what became of a refund.",
        # Index refund_by_order.
        sql="""
            SELECT r.id AS refund_id, o.id AS order_id, o.status AS order_status, r.status
            FROM audit_order o JOIN payments_refund r ON r.order_id = o.id
            WHERE o.settled AND NOT o.answered_for AND r.status IN ('pending', 'unknown')
        """,
    ),
    Check(
        promise="I9",
        name="a_payment_has_its_order",
        says="The payment is of an order that does not exist.",
        # Primary keys of both.
        sql="""
            SELECT p.id AS payment_id, p.order_id, p.status FROM payments_payment p
            WHERE p.id BETWEEN %(since_key)s AND %(until_key)s
              AND NOT EXISTS (SELECT FROM orders_order o WHERE o.id = p.order_id)
        """,
    ),
)
