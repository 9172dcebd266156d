"""Stock: reserved, committed and released as the orders ended, and nothing sold twice (I10).

What is reserved is the sum of the open reservations in every snapshot, for both change in one transaction. What left
the shelf can be followed since the last restock, whose operator act says what was there; before the first one, it
cannot. A refusal is judged where nothing has come back since: then what is free now was free then.
"""

from audit.check import Check, When

# How far an act's time, and a reservation's, may be from the moment at which their stock row was locked.
SLACK = "interval '15 seconds'"

CHECKS = (
    Check(
        promise="I10",
        name="stock_is_never_oversold",
        says="More is reserved than is on hand, or less than nothing.",
        sql="SELECT sku, on_hand, reserved FROM inventory_stockitem WHERE NOT 0 <= reserved OR reserved > on_hand",
    ),
    Check(
        promise="I10",
        name="reserved_is_the_sum_of_open_reservations",
        says="What is counted as reserved is not what orders have reserved.",
        sql="""
            SELECT s.sku, s.reserved, coalesce(r.quantity, 0) AS reservations FROM inventory_stockitem s
            LEFT JOIN (SELECT sku, sum(quantity) AS quantity FROM inventory_reservation
                       WHERE state = 'reserved' GROUP BY sku) r ON r.sku = s.sku
            WHERE s.reserved <> coalesce(r.quantity, 0)
        """,
        when=When.WHOLE,
    ),
    Check(
        promise="I10",
        name="what_live_sagas_reserve_is_counted",
        says="Less is counted as reserved than the orders under way have reserved: it can be sold twice.",
        # Indexes saga_running, saga_needs_attention, one_reservation_per_order_and_sku: no whole table is read.
        sql="""
            SELECT s.sku, s.reserved, r.quantity AS reservations FROM inventory_stockitem s
            JOIN (SELECT r.sku, sum(r.quantity) AS quantity
                       FROM sagas_saga saga JOIN inventory_reservation r ON r.order_id = saga.subject_id
                       WHERE saga.status IN ('running', 'needs_attention') AND r.state = 'reserved'
                       GROUP BY r.sku) r ON r.sku = s.sku
            WHERE s.reserved < r.quantity
        """,
    ),
    Check(
        promise="I10",
        name="a_confirmed_order_took_its_lines",
        says="The order is confirmed, and a line of it did not leave the shelf as ordered.",
        # Indexes one_line_per_order_and_sku, one_reservation_per_order_and_sku.
        sql="""
            SELECT o.id AS order_id, line.sku, line.quantity, r.quantity AS reserved, r.state
            FROM audit_order o JOIN orders_orderline line ON line.order_id = o.id
            LEFT JOIN inventory_reservation r ON r.order_id = o.id AND r.sku = line.sku
            WHERE o.settled AND NOT o.answered_for AND o.status = 'confirmed'
              AND (r.quantity, r.state) IS DISTINCT FROM (line.quantity, 'committed')
        """,
    ),
    Check(
        promise="I10",
        name="only_a_confirmed_order_takes_stock",
        says="A reservation stands, or was committed, against its order's end, or for what was not ordered.",
        # Indexes one_reservation_per_order_and_sku, one_line_per_order_and_sku.
        sql="""
            SELECT o.id AS order_id, o.status, r.sku, r.quantity, r.state
            FROM audit_order o JOIN inventory_reservation r ON r.order_id = o.id
            LEFT JOIN orders_orderline line ON line.order_id = o.id AND line.sku = r.sku
            WHERE o.settled AND NOT o.answered_for
              AND (r.state = 'reserved' OR (o.status = 'confirmed') <> (r.state = 'committed') OR line.id IS NULL)
        """,
    ),
    Check(
        promise="I5",
        name="one_reservation_per_order_and_sku",
        says="The order has reserved one product more than once.",
        # Index one_reservation_per_order_and_sku.
        sql="""
            SELECT o.id AS order_id, r.sku, count(*) AS reservations
            FROM audit_order o JOIN inventory_reservation r ON r.order_id = o.id
            GROUP BY o.id, r.sku HAVING count(*) > 1
        """,
    ),
    Check(
        promise="I10",
        name="what_was_sold_since_a_restock_left_the_shelf",
        says="What is on hand is not what the last restock left, less what was sold since.",
        # Index operator_act_by_target. Sales close to the restock's own moment may count on either side of it.
        sql=f"""
            SELECT s.sku, s.on_hand, last.on_hand AS on_hand_after_restock, sold.surely, sold.at_most
            FROM inventory_stockitem s
            CROSS JOIN LATERAL (
                SELECT (a.detail ->> 'on_hand')::bigint AS on_hand, a.acted_at FROM outbox_operatoract a
                WHERE a.target_type = 'stockitem' AND a.target_id = s.sku AND a.verb = 'restock'
                ORDER BY a.acted_at DESC LIMIT 1) last
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(r.quantity) FILTER (WHERE r.ended_at > last.acted_at + {SLACK}), 0) AS surely,
                       coalesce(sum(r.quantity), 0) AS at_most
                FROM inventory_reservation r
                WHERE r.sku = s.sku AND r.state = 'committed' AND r.ended_at > last.acted_at - {SLACK}) sold
            WHERE last.on_hand - s.on_hand NOT BETWEEN sold.surely AND sold.at_most
        """,
        when=When.WHOLE,
    ),
    Check(
        promise="I10",
        name="no_order_is_refused_what_is_still_there",
        says="The order was rejected as out of stock, nothing came back since, and all that it wanted is free.",
        # Index one_line_per_order_and_sku, operator_act_by_target.
        sql=f"""
            SELECT o.id AS order_id, o.placed_at, array_agg(line.sku) AS skus
            FROM audit_order o JOIN orders_orderline line ON line.order_id = o.id
            JOIN inventory_stockitem s ON s.sku = line.sku
            LEFT JOIN (SELECT sku, max(ended_at) AS at FROM inventory_reservation WHERE state = 'released'
                       GROUP BY sku) back ON back.sku = line.sku
            LEFT JOIN (SELECT target_id AS sku, max(acted_at) AS at FROM outbox_operatoract
                       WHERE target_type = 'stockitem' GROUP BY target_id) act ON act.sku = line.sku
            WHERE o.settled AND o.status = 'rejected' AND o.reason = 'out_of_stock'
            GROUP BY o.id, o.placed_at
            HAVING bool_and(s.on_hand - s.reserved >= line.quantity
                            AND greatest(back.at, act.at, '-infinity') < o.placed_at - {SLACK})
               AND count(*) = (SELECT count(*) FROM orders_orderline every WHERE every.order_id = o.id)
        """,
        when=When.WHOLE,
    ),
)
