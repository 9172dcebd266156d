"""Effects: one per consumer and message, and none of them missing (I4, I5, I14)."""

from audit.check import Check

# A person skipped the notice: the act outlives the message, which a purge removes. Index operator_act_by_target.
SKIPPED = """
    EXISTS (SELECT FROM outbox_operatoract act
            WHERE act.target_type = 'outboxmessage' AND act.verb = 'skip'
              AND act.detail ->> 'correlation_id' = o.id::text AND {condition})
"""
SKIPPED_END = SKIPPED.format(condition="act.detail ->> 'destination' = 'notifications.order_' || o.status")
SKIPPED_REFUND = SKIPPED.format(condition="act.detail ->> 'type' IN ('payment.refunded.v1', 'order.refunded.v1')")

CHECKS = (
    Check(
        promise="I5",
        name="a_finished_message_is_in_the_inbox",
        says="The message is done, and its consumer has no record of handling it: it may be handled again.",
        # Primary keys of both. Destinations outside keep their own books. The inbox outlives the outbox (I14).
        sql="""
            SELECT m.message_id, m.destination, m.type, m.correlation_id, m.finished_at FROM outbox_outboxmessage m
            WHERE m.key BETWEEN %(since_key)s AND %(until_key)s AND m.state = 'done'
              AND NOT m.destination = ANY(%(outside)s)
              AND NOT EXISTS (SELECT FROM outbox_inboxmessage i
                              WHERE i.consumer = m.destination AND i.message_id = m.message_id)
        """,
    ),
    Check(
        promise="I5",
        name="a_message_goes_to_a_destination_once",
        says="One message stands twice in the queue of one destination.",
        # Index one_row_per_message_and_destination.
        sql="""
            SELECT m.message_id, m.destination, count(*) AS rows_found FROM outbox_outboxmessage m
            WHERE m.key BETWEEN %(since_key)s AND %(until_key)s GROUP BY m.message_id, m.destination HAVING count(*) > 1
        """,
    ),
    Check(
        promise="I5",
        name="one_notice_per_order_and_kind",
        says="The customer has two notices of one kind about one order.",
        # Index one_notification_per_order_and_kind.
        sql="""
            SELECT o.id AS order_id, n.kind, count(*) AS notices
            FROM audit_order o JOIN notifications_notification n ON n.order_id = o.id
            GROUP BY o.id, n.kind HAVING count(*) > 1
        """,
    ),
    Check(
        promise="I4",
        name="every_end_is_told",
        says="The order has ended, and its customer was not told, though nobody skipped that and no attempt is spent.",
        # Indexes one_notification_per_order_and_kind, one_message_per_aggregate_sequence_and_destination.
        sql=f"""
            SELECT o.id AS order_id, o.status, o.ended_at FROM audit_order o
            WHERE o.settled AND NOT EXISTS (
                SELECT FROM notifications_notification n
                WHERE n.order_id = o.id AND n.kind = o.status AND n.status IN ('sent', 'refused'))
              AND NOT EXISTS (
                SELECT FROM outbox_outboxmessage m
                WHERE m.aggregate_id = o.id AND m.destination = 'notifications.order_' || o.status
                  AND m.state IN ('open', 'dead', 'skipped'))
              AND NOT {SKIPPED_END}
        """,
    ),
    Check(
        promise="I4",
        name="every_refund_is_told",
        says="Money went back, and its customer was not told, though nobody skipped that and no attempt is spent.",
        # Indexes payment_by_order, one_notification_per_order_and_kind.
        sql=f"""
            SELECT o.id AS order_id, p.id AS payment_id, p.refunded_minor
            FROM audit_order o JOIN payments_payment p ON p.order_id = o.id
            WHERE o.settled AND p.refunded_minor > 0 AND NOT EXISTS (
                SELECT FROM notifications_notification n
                WHERE n.order_id = o.id AND n.kind = 'refunded' AND n.status IN ('sent', 'refused'))
              AND NOT EXISTS (
                SELECT FROM outbox_outboxmessage m
                WHERE m.aggregate_id IN (o.id, p.id) AND m.state IN ('open', 'dead', 'skipped')
                  AND m.type IN ('payment.refunded.v1', 'order.refunded.v1'))
              AND NOT {SKIPPED_REFUND}
        """,
    ),
    Check(
        promise="I5",
        name="only_what_happened_is_told",
        says="The customer was told of an end that the order did not come to, or of a refund that was none.",
        # Indexes one_notification_per_order_and_kind, payment_by_order.
        sql="""
            SELECT o.id AS order_id, o.status, n.kind, n.noted_at
            FROM audit_order o JOIN notifications_notification n ON n.order_id = o.id
            WHERE (n.kind <> 'refunded' AND n.kind <> o.status) OR (n.kind = 'refunded' AND NOT EXISTS (
                SELECT FROM payments_payment p WHERE p.order_id = o.id AND p.refunded_minor > 0))
        """,
    ),
)
