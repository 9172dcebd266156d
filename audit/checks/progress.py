"""Progress of live sagas: each waits for exactly one open message, and not beyond its deadline (I4, I6, I11).

A saga and its message change in one transaction, so these hold in every snapshot, settled or not. The open and the
dead are few beside all messages, and have indexes of their own.
"""

from audit.check import Check

# The sweep that looks for sagas past their deadline runs every few seconds; it may wait for a database that was away.
OVERDUE_GRACE = "interval '15 minutes'"

CHECKS = (
    Check(
        promise="I6",
        name="a_running_saga_waits_for_an_open_message",
        says="The saga is running, and the message that it waits for is not open: nothing will ever move it.",
        # Indexes saga_running, one_row_per_message_and_destination.
        sql="""
            SELECT s.id AS saga_id, s.subject_id AS order_id, s.current_step, s.waiting_for FROM sagas_saga s
            WHERE s.status = 'running' AND NOT EXISTS (
                SELECT FROM outbox_outboxmessage m
                WHERE m.message_id = s.waiting_for AND m.aggregate_id = s.id AND m.state = 'open')
        """,
    ),
    Check(
        promise="I6",
        name="an_open_step_message_has_its_saga_waiting",
        says="The message would run a step of a saga that does not wait for it.",
        # Index one_open_message_per_saga holds exactly these rows.
        sql="""
            SELECT m.message_id, m.destination, m.aggregate_id AS saga_id, s.status, s.waiting_for
            FROM outbox_outboxmessage m LEFT JOIN sagas_saga s ON s.id = m.aggregate_id
            WHERE m.order_free AND m.state = 'open' AND m.aggregate_type = 'saga'
              AND s.waiting_for IS DISTINCT FROM m.message_id
        """,
    ),
    Check(
        promise="I6",
        name="one_open_message_per_saga",
        says="Two messages would run steps of one saga at the same time.",
        # Index one_open_message_per_saga holds exactly these rows.
        sql="""
            SELECT m.aggregate_id AS saga_id, array_agg(m.destination) AS destinations FROM outbox_outboxmessage m
            WHERE m.order_free AND m.state = 'open' AND m.aggregate_type = 'saga'
            GROUP BY m.aggregate_id HAVING count(*) > 1
        """,
    ),
    Check(
        promise="I11",
        name="a_saga_ends_or_asks_for_help_by_its_deadline",
        says="The saga is running past its deadline, and nobody was asked to look.",
        # Index saga_running.
        sql=f"""
            SELECT s.id AS saga_id, s.subject_id AS order_id, s.current_step, s.deadline_at FROM sagas_saga s
            WHERE s.status = 'running' AND s.deadline_at < statement_timestamp() - {OVERDUE_GRACE}
        """,
    ),
    Check(
        promise="I4",
        name="a_dead_step_message_stops_its_saga_visibly",
        says="The message of the saga's step is dead, and the saga runs on as if it were not.",
        # Index outbox_dead.
        sql="""
            SELECT m.message_id, s.id AS saga_id, s.status FROM outbox_outboxmessage m
            JOIN sagas_saga s ON s.id = m.aggregate_id AND s.waiting_for = m.message_id
            WHERE m.state = 'dead' AND m.order_free
        """,
    ),
)
