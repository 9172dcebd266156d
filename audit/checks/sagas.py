"""Sagas: one per order, in agreement with it, and gone only when they may be (I1, I5, I14)."""

from audit.check import Check, When

KEPT = "statement_timestamp() - make_interval(days => %(sagas_kept_days)s)"

CHECKS = (
    Check(
        promise="I5",
        name="one_saga_per_order",
        says="More than one saga fulfils the order.",
        # Index one_saga_per_name_and_subject.
        sql="""
            SELECT o.id AS order_id, array_agg(s.id) AS saga_ids, array_agg(s.status) AS statuses
            FROM audit_order o JOIN sagas_saga s ON s.name = 'fulfil_order' AND s.subject_id = o.id
            GROUP BY o.id HAVING count(*) > 1
        """,
    ),
    Check(
        promise="I8",
        name="an_order_agrees_with_its_saga",
        says="The order has ended in another way than its saga.",
        # Index one_saga_per_name_and_subject.
        sql="""
            SELECT o.id AS order_id, o.status, o.reason, s.id AS saga_id, s.status AS saga_status,
                   s.reason AS saga_reason
            FROM audit_order o JOIN sagas_saga s ON s.name = 'fulfil_order' AND s.subject_id = o.id
            WHERE o.settled AND (
                s.status <> CASE WHEN o.status = 'confirmed' THEN 'completed' ELSE 'compensated' END
                OR (o.status <> 'confirmed' AND (o.status = 'cancelled') <> (s.reason = 'cancelled'))
                OR (o.status = 'rejected' AND o.reason <> s.reason))
        """,
    ),
    Check(
        promise="I14",
        name="every_order_had_its_saga",
        says="The order has ended, and no saga fulfilled it, though it would be younger than the sagas' retention.",
        # Index one_saga_per_name_and_subject. An order that was cancelled before its saga began never had one.
        sql=f"""
            SELECT o.id AS order_id, o.status, o.ended_at FROM audit_order o
            WHERE o.settled AND o.status IN ('confirmed', 'rejected') AND o.ended_at > {KEPT}
              AND NOT EXISTS (SELECT FROM sagas_saga s WHERE s.name = 'fulfil_order' AND s.subject_id = o.id)
        """,
    ),
    Check(
        promise="I1",
        name="a_saga_has_its_order",
        says="The saga fulfils an order that does not exist.",
        # Primary keys of both.
        sql="""
            SELECT s.id AS saga_id, s.subject_id AS order_id, s.status FROM sagas_saga s
            WHERE s.id BETWEEN %(since_key)s AND %(until_key)s AND s.name = 'fulfil_order'
              AND NOT EXISTS (SELECT FROM orders_order o WHERE o.id = s.subject_id)
        """,
    ),
    Check(
        promise="I11",
        name="every_saga_has_ended",
        says="Everything is at rest, and the saga has not ended.",
        # Indexes saga_running, saga_needs_attention.
        sql="""
            SELECT s.id AS saga_id, s.subject_id AS order_id, s.status, s.current_step, s.last_error FROM sagas_saga s
            WHERE s.status IN ('running', 'needs_attention')
        """,
        when=When.AT_REST,
    ),
    Check(
        promise="I8",
        name="a_completed_saga_did_every_step",
        says="The saga is completed, and a step of it is missing, not done, or undone.",
        # Indexes one_saga_per_name_and_subject, one_row_per_saga_and_step. Positions count from 0.
        sql="""
            SELECT s.id AS saga_id, s.subject_id AS order_id, array_agg(step.name || ': ' || step.status) AS steps
            FROM audit_order o JOIN sagas_saga s ON s.name = 'fulfil_order' AND s.subject_id = o.id
            LEFT JOIN sagas_sagastep step ON step.saga_id = s.id
            WHERE s.status = 'completed'
            GROUP BY s.id, s.subject_id
            HAVING count(step.id) = 0 OR count(step.id) <> max(step.position) + 1
                OR bool_or(step.status NOT IN ('done', 'skipped') OR step.undo_status <> '')
                OR NOT bool_or(step.name = 'confirm_order' AND step.status = 'done')
        """,
    ),
    Check(
        promise="I3",
        name="a_provider_key_is_its_sagas_own",
        says="The provider was asked under a key that is not the saga's: asked again, it would do it twice.",
        # Indexes one_saga_per_name_and_subject, payment_by_order, shipment_by_order, refund_by_order, …
        sql="""
            SELECT o.id AS order_id, s.id AS saga_id, asked.what, asked.provider_key FROM audit_order o
            JOIN sagas_saga s ON s.name = 'fulfil_order' AND s.subject_id = o.id
            CROSS JOIN LATERAL (
                SELECT 'payment' AS what, p.provider_key, p.provider_key = s.id || ':charge_payment' AS own
                FROM payments_payment p WHERE p.order_id = o.id
                UNION ALL
                SELECT 'shipment', h.provider_key, h.provider_key = s.id || ':create_shipment'
                FROM shipping_shipment h WHERE h.order_id = o.id
                UNION ALL
                SELECT 'refund', r.provider_key, starts_with(r.provider_key, s.id || ':charge_payment.undo')
                FROM payments_refund r WHERE r.order_id = o.id
                UNION ALL
                SELECT 'cancellation', c.provider_key, starts_with(c.provider_key, s.id || ':create_shipment.undo')
                FROM shipping_cancellation c WHERE c.order_id = o.id) asked
            WHERE NOT asked.own
        """,
    ),
)
