"""Compensation: backward once and for good, in reverse, and never over an unknown outcome (I7, I8, I13).

Steps keep their times, so the order of what happened can be read when all is over. A success that was found after its
step was given up completes late, and is undone after what was undone before it was found (F13).
"""

from audit.check import Check

# The steps of sagas in scope that go backward, or went: by the order. Indexes one_saga_per_name_and_subject,
# one_row_per_saga_and_step.
TURNED = """
    SELECT s.id AS saga_id, s.subject_id AS order_id, s.status AS saga_status, s.direction, step.name, step.position,
           step.status, step.started_at, step.called_at, step.finished_at, step.undo_status, step.undo_started_at,
           step.undo_finished_at, min(step.undo_started_at) OVER (PARTITION BY s.id) AS turned_at,
           o.ended_at AS order_ended_at, o.settled
    FROM audit_order o JOIN sagas_saga s ON s.name = 'fulfil_order' AND s.subject_id = o.id
    JOIN sagas_sagastep step ON step.saga_id = s.id
    WHERE s.direction = 'backward' OR s.status = 'compensated'
"""

CHECKS = (
    Check(
        promise="I7",
        name="a_saga_ends_in_the_direction_it_goes",
        says="The saga completed though it had turned back, or is called compensated though it never turned.",
        # Index one_saga_per_name_and_subject.
        sql="""
            SELECT s.id AS saga_id, s.subject_id AS order_id, s.status, s.direction
            FROM audit_order o JOIN sagas_saga s ON s.name = 'fulfil_order' AND s.subject_id = o.id
            WHERE (s.status = 'completed' AND s.direction <> 'forward')
               OR (s.status = 'compensated' AND s.direction <> 'backward')
               OR (s.direction = 'forward' AND EXISTS (
                      SELECT FROM sagas_sagastep step WHERE step.saga_id = s.id AND step.undo_status <> ''))
        """,
    ),
    Check(
        promise="I7",
        name="no_step_begins_after_the_saga_turned",
        says="The step was begun after the saga's first compensation was.",
        sql=f"""
            SELECT saga_id, order_id, name AS step, started_at, turned_at FROM ({TURNED}) turned
            WHERE started_at > turned_at
        """,
    ),
    Check(
        promise="I7",
        name="there_is_no_way_back_from_the_pivot",
        says="The saga went back though it had confirmed its order.",
        sql=f"""
            SELECT saga_id, order_id, name AS step, finished_at, turned_at FROM ({TURNED}) turned
            WHERE name = 'confirm_order' AND status = 'done'
        """,
    ),
    Check(
        promise="I8",
        name="compensations_run_in_reverse",
        says="A step was undone before one that had been done after it.",
        # The later one was complete when the earlier one's undo began, and its own undo had not begun.
        sql=f"""
            WITH turned AS MATERIALIZED ({TURNED})
            SELECT earlier.saga_id, earlier.order_id, earlier.name AS undone_first, earlier.undo_started_at,
                   later.name AS undone_second, later.undo_started_at AS later_undo_started_at
            FROM turned earlier
            JOIN turned later ON later.saga_id = earlier.saga_id AND later.position > earlier.position
            WHERE earlier.undo_started_at IS NOT NULL AND later.status = 'done'
              AND later.finished_at <= earlier.undo_started_at AND later.undo_started_at > earlier.undo_started_at
        """,
    ),
    Check(
        promise="I8",
        name="nothing_is_called_compensated_that_is_not",
        says="The saga is called compensated, and a step that was done is not undone.",
        sql=f"""
            SELECT saga_id, order_id, name AS step, status, undo_status FROM ({TURNED}) turned
            WHERE saga_status = 'compensated' AND (
                (status = 'done' AND undo_status NOT IN ('done', 'skipped'))
                OR (undo_status = 'done' AND status <> 'done'))
        """,
    ),
    Check(
        promise="I8",
        name="an_order_ends_after_its_last_compensation",
        says="The order was called rejected or cancelled while a compensation was still to come.",
        # What completed after the order's end was found late (F13).
        sql=f"""
            SELECT saga_id, order_id, name AS step, undo_finished_at, order_ended_at FROM ({TURNED}) turned
            WHERE status = 'done' AND finished_at <= order_ended_at AND undo_finished_at > order_ended_at
        """,
    ),
    Check(
        promise="I13",
        name="no_compensation_while_a_step_is_unknown",
        says="The saga goes backward while nobody knows what became of a call that had left.",
        sql=f"""
            SELECT saga_id, order_id, name AS step, status, called_at, turned_at FROM ({TURNED}) turned
            WHERE called_at IS NOT NULL AND (
                status IN ('running', 'retrying', 'unknown')
                OR (status IN ('refused', 'absent', 'given_up') AND finished_at > turned_at))
        """,
    ),
    Check(
        promise="I13",
        name="no_refund_while_a_charge_is_unknown",
        says="Something of the order is being undone while nobody knows what became of its charge.",
        # Index payment_by_order.
        sql=f"""
            SELECT turned.saga_id, turned.order_id, turned.name AS undoing, p.status FROM ({TURNED}) turned
            JOIN payments_payment p ON p.order_id = turned.order_id
            WHERE turned.undo_status <> '' AND p.status IN ('pending', 'unknown')
        """,
    ),
)
