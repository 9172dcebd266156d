"""Messages: none forgotten, none out of order (I4, I11, I12)."""

from audit.check import Check, When
from audit.checks.orders import KEPT

# An operator's requeue or skip puts a message where no order of events would. Index operator_act_by_target.
UNTOUCHED = """
    NOT EXISTS (SELECT FROM outbox_operatoract act
                WHERE act.target_type = 'outboxmessage' AND act.target_id IN ({keys}))
"""

CHECKS = (
    Check(
        promise="I4",
        name="no_message_is_open",
        says="Everything is at rest, and the message is still open.",
        # Index outbox_open. The audit's own ticks go on for ever: what they have read is of no order.
        sql="""
            SELECT m.message_id, m.destination, m.type, m.correlation_id, m.attempts, m.due_at, m.last_error
            FROM outbox_outboxmessage m
            WHERE m.state = 'open' AND m.destination NOT LIKE 'audit.%%'
        """,
        when=When.AT_REST,
    ),
    Check(
        promise="I4",
        name="no_message_is_dead",
        says="Everything is at rest, and the message is dead: its effect never happened, and nobody has skipped it.",
        # Index outbox_dead.
        sql="""
            SELECT m.message_id, m.destination, m.type, m.correlation_id, m.attempts, m.last_error
            FROM outbox_outboxmessage m WHERE m.state = 'dead'
        """,
        when=When.AT_REST,
    ),
    Check(
        promise="I4",
        name="a_dead_message_says_why",
        says="The message is dead without a reason, or without an attempt.",
        # Index outbox_dead.
        sql="""
            SELECT m.message_id, m.destination, m.type, m.attempts, m.last_error
            FROM outbox_outboxmessage m WHERE m.state = 'dead' AND (m.last_error = '' OR m.attempts = 0)
        """,
    ),
    Check(
        promise="I4",
        name="a_finished_message_was_tried",
        says="The message is done, and nobody ever claimed it.",
        # Primary key. A claim counts the attempt first; a finish needs the claim's epoch.
        sql="""
            SELECT m.message_id, m.destination, m.type, m.state, m.attempts, m.epoch, m.finished_at
            FROM outbox_outboxmessage m
            WHERE m.key BETWEEN %(since_key)s AND %(until_key)s AND ((m.state = 'done' AND m.epoch = 0)
               OR (m.state IN ('done', 'skipped')) <> (m.finished_at IS NOT NULL)
               OR m.state NOT IN ('open', 'done', 'dead', 'skipped'))
        """,
    ),
    Check(
        promise="I11",
        name="an_open_message_is_due_within_bounds",
        says="The message is open and due later than anything may wait.",
        # Index outbox_open.
        sql="""
            SELECT m.message_id, m.destination, m.type, m.due_at, m.attempts FROM outbox_outboxmessage m
            WHERE m.state = 'open' AND m.scheduled_for IS NULL AND (
                m.due_at IS NULL
                OR m.due_at > statement_timestamp() + make_interval(secs => 3600 * %(longest_wait_hours)s))
        """,
    ),
    Check(
        promise="I11",
        name="an_open_message_is_taken_up",
        says="The message has been due for longer than anything may take, and nobody is at it.",
        # Index outbox_open.
        sql="""
            SELECT m.message_id, m.destination, m.type, m.due_at, m.attempts, m.last_error FROM outbox_outboxmessage m
            WHERE m.state = 'open'
              AND m.due_at < statement_timestamp() - make_interval(secs => 3600 * %(longest_wait_hours)s)
        """,
    ),
    Check(
        promise="I12",
        name="an_orders_events_have_no_gap",
        says="The order has counted more events than there are, though all are younger than the outbox's retention.",
        # Index one_message_per_aggregate_sequence_and_destination.
        sql=f"""
            SELECT o.id AS order_id, o.status, o.sequence, count(DISTINCT m.sequence) AS events
            FROM audit_order o LEFT JOIN outbox_outboxmessage m ON m.aggregate_id = o.id
            WHERE o.placed_at > {KEPT}
            GROUP BY o.id, o.status, o.sequence
            HAVING count(DISTINCT m.sequence) <> o.sequence
                OR coalesce(max(m.sequence), 0) <> o.sequence OR min(m.sequence) <> 1
        """,
    ),
    Check(
        promise="I12",
        name="an_event_has_one_place_in_its_order",
        says="Two events of one aggregate have the same sequence.",
        # Index one_message_per_aggregate_sequence_and_destination.
        sql="""
            SELECT m.aggregate_type, m.aggregate_id, m.sequence, array_agg(DISTINCT m.type) AS types
            FROM outbox_outboxmessage m WHERE m.key BETWEEN %(since_key)s AND %(until_key)s AND m.sequence IS NOT NULL
            GROUP BY m.aggregate_type, m.aggregate_id, m.sequence HAVING count(DISTINCT m.message_id) > 1
        """,
    ),
    Check(
        promise="I12",
        name="events_are_written_and_handled_in_order",
        says="A later event of the aggregate was written, or handled by this destination, before an earlier one.",
        # Index one_message_per_aggregate_sequence_and_destination; each event beside the one before it.
        sql=f"""
            SELECT aggregate_type, aggregate_id, destination, earlier_sequence, sequence, earlier_at, finished_at
            FROM (
                SELECT m.aggregate_type, m.aggregate_id, m.destination, m.sequence, m.finished_at, m.key, m.id,
                       lag(m.sequence) OVER w AS earlier_sequence, lag(m.finished_at) OVER w AS earlier_at,
                       lag(m.state) OVER w AS earlier_state, lag(m.key) OVER w AS earlier_key,
                       lag(m.id) OVER w AS earlier_id, m.state
                FROM outbox_outboxmessage m
                WHERE m.key BETWEEN %(since_key)s AND %(until_key)s AND m.sequence IS NOT NULL AND NOT m.order_free
                WINDOW w AS (PARTITION BY m.aggregate_id, m.destination ORDER BY m.sequence)) pair
            WHERE (earlier_id > id OR (state = 'done' AND (
                      earlier_state IN ('open', 'dead') OR (earlier_state = 'done' AND earlier_at > finished_at))))
              AND {UNTOUCHED.format(keys="pair.key::text, pair.earlier_key::text")}
        """,
    ),
)
