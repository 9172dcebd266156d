"""The rows of grown tables, as SQL: each moment of a month has an order, its saga, its payment, and so on.

What is rare is the oldest; what is under way is the newest. Rows of one moment share its id.
"""

FEW = 100

# Its time, then its number: as a UUIDv7 rises.
ID = "(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid"
MOMENTS = f"""
CREATE UNLOGGED TABLE moment AS
SELECT n, at, {ID} AS id
FROM (SELECT n, now() - interval '31 days' + n::float8 / %(rows)s * interval '30 days' AS at
      FROM generate_series(1, %(rows)s::int) AS n) AS moments
"""
# A third of them, spread over the month: of what happens to few orders.
SOME = "(SELECT (row_number() OVER (ORDER BY n))::int AS n, at, id FROM moment WHERE n %% 3 = 0) AS moment"
SOME_ROWS = "(%(rows)s::int / 3)"
CUSTOMER = "(SELECT min(id) FROM auth_user WHERE username LIKE 'customer-%%')"
CUSTOMERS = """
INSERT INTO auth_user (username, password, first_name, last_name, email, is_superuser, is_staff, is_active, date_joined)
SELECT 'customer-' || n, '', '', '', '', false, false, true, now() FROM moment ORDER BY n
"""
GROUP = f"""
WITH made AS (INSERT INTO auth_group (name) VALUES ('grown') RETURNING id)
INSERT INTO auth_user_groups (user_id, group_id)
SELECT auth_user.id, made.id FROM auth_user, made WHERE auth_user.id >= {CUSTOMER} + %(rows)s - {FEW}
"""
ORDERS = f"""
INSERT INTO orders_order
  (id, customer_id, status, reason, currency, total_minor, payment_method, sequence, placed_at, ended_at)
SELECT id, {CUSTOMER} + n %% 100,
       CASE WHEN n <= {FEW} THEN 'cancelled' WHEN n > %(rows)s - {FEW} THEN 'pending'
            WHEN n %% 50 = 0 THEN 'rejected' ELSE 'confirmed' END,
       'out_of_stock', 'EUR', 5948, 'tok_ok', 2, at, CASE WHEN n <= %(rows)s - {FEW} THEN at + interval '1 second' END
FROM moment
"""
LINES = """
INSERT INTO orders_orderline (order_id, sku, quantity, unit_price_minor, line_total_minor)
SELECT id, 'SKU-' || n, 2, 2974, 5948 FROM moment
"""
SAGAS = f"""
INSERT INTO sagas_saga
  (id, name, version, subject_id, status, direction, current_step, reason, data, data_version, waiting_for, deadline_at,
   last_error, started_at, ended_at)
SELECT id, 'fulfil_order', 1, id,
       CASE WHEN n <= {FEW} THEN 'compensated' WHEN n <= {2 * FEW} THEN 'needs_attention'
            WHEN n > %(rows)s - {FEW} THEN 'running' ELSE 'completed' END,
       CASE WHEN n <= {2 * FEW} THEN 'backward' ELSE 'forward' END,
       'confirm_order', '', '{{}}', 1, CASE WHEN n > %(rows)s - {FEW} THEN id END, at + interval '1 day',
       CASE WHEN n > %(rows)s - {FEW // 2} THEN 'TimeoutError' ELSE '' END, at,
       CASE WHEN n <= {FEW} OR n BETWEEN {2 * FEW + 1} AND %(rows)s - {FEW} THEN at + interval '1 second' END
FROM moment
"""
STEPS = """
INSERT INTO sagas_sagastep
  (saga_id, name, position, status, attempts, started_at, called_at, finished_at, output, error, undo_status,
   undo_attempts, undo_output, undo_error)
SELECT id, 'charge_payment', 2, 'done', 1, at, at, at + interval '1 second', '{}', '', '', 0, '{}', '' FROM moment
"""
INBOX = f"""
INSERT INTO outbox_inboxmessage (consumer, message_id, received_at)
SELECT CASE WHEN n <= {FEW} THEN 'rare.consumer' ELSE 'grown.consumer_' || n %% 4 END, id, at FROM moment
"""
PAYMENTS = f"""
INSERT INTO payments_payment
  (id, order_id, provider_key, provider_reference, payment_method, amount_minor, captured_minor, refunded_minor,
   currency, status, reason, sequence, created_at, updated_at)
SELECT id, id, 'charge-' || n, CASE WHEN status = 'captured' THEN 'ch_' || n ELSE '' END, 'tok_ok', 5948,
       CASE WHEN status = 'captured' THEN 5948 ELSE 0 END, 0, 'EUR', status, '', 1, at, at
FROM (SELECT *, CASE WHEN n <= {FEW} THEN 'unknown' WHEN n <= {2 * FEW} THEN 'absent'
                     WHEN n > %(rows)s - {FEW} THEN 'pending' WHEN n %% 50 = 0 THEN 'declined' ELSE 'captured' END
                AS status FROM moment) AS new
"""
REFUNDS = f"""
INSERT INTO payments_refund
  (id, payment_id, order_id, provider_key, provider_reference, amount_minor, status, reason, created_at, updated_at)
SELECT id, id, id, 'refund-' || n, 're_' || n, 5948,
       CASE WHEN n <= {FEW} THEN 'refused' WHEN n <= {2 * FEW} THEN 'unknown'
            WHEN n > {SOME_ROWS} - {FEW} THEN 'pending' ELSE 'refunded' END, '', at, at
FROM {SOME}
"""
SHIPMENTS = f"""
INSERT INTO shipping_shipment
  (id, order_id, provider_key, provider_reference, tracking_number, lines, status, reason, sequence, created_at,
   updated_at)
SELECT id, id, 'shipment-' || n, 'sh_' || n, 'TRACK' || n, '[["SKU-1", 2]]',
       CASE WHEN n <= {FEW} THEN 'unknown' WHEN n <= {2 * FEW} THEN 'refused'
            WHEN n > %(rows)s - {FEW} THEN 'pending' ELSE 'created' END, '', 1, at, at
FROM moment
"""
CANCELLATIONS = f"""
INSERT INTO shipping_cancellation
  (id, shipment_id, order_id, provider_key, provider_reference, status, reason, created_at, updated_at)
SELECT id, id, id, 'cancellation-' || n, 'ca_' || n,
       CASE WHEN n <= {FEW} THEN 'refused' WHEN n <= {2 * FEW} THEN 'unknown'
            WHEN n > {SOME_ROWS} - {FEW} THEN 'pending' ELSE 'cancelled' END, '', at, at
FROM {SOME}
"""
# In the order of their SKUs the last ones are sold out, or sold no more.
PRODUCTS = f"""
WITH made AS (INSERT INTO inventory_product (sku, name, active)
              SELECT 'SKU-' || lpad(n::text, 9, '0'), 'Lamp', n <= {SOME_ROWS} - {FEW} FROM {SOME} RETURNING id)
INSERT INTO inventory_productprice (product_id, currency, unit_price_minor) SELECT id, 'EUR', 2974 FROM made
"""
STOCK = f"""
INSERT INTO inventory_stockitem (sku, on_hand, reserved)
SELECT 'SKU-' || lpad(n::text, 9, '0'), 10, CASE WHEN n > {SOME_ROWS} - {FEW} THEN 10 ELSE 0 END FROM {SOME}
"""
RESERVATIONS = f"""
INSERT INTO inventory_reservation (order_id, sku, quantity, state, created_at, ended_at)
SELECT id, 'SKU-' || n, 2, CASE WHEN n <= {FEW} THEN 'released' WHEN n > %(rows)s - {FEW} THEN 'reserved'
                                ELSE 'committed' END, at, CASE WHEN n <= %(rows)s - {FEW} THEN at END
FROM moment ORDER BY n
"""
NOTIFICATIONS = f"""
INSERT INTO notifications_notification (id, order_id, kind, recipient_id, status, facts, error, noted_at, sent_at)
SELECT id, id, CASE WHEN n <= {FEW} THEN 'refunded' ELSE 'confirmed' END, 1, status, '{{}}', '', at,
       CASE WHEN status = 'sent' THEN at END
FROM (SELECT *, CASE WHEN n <= {FEW} THEN 'refused' WHEN n > %(rows)s - {FEW} THEN 'pending' ELSE 'sent' END AS status
      FROM moment) AS new
"""
DIFFERENCES = f"""
INSERT INTO audit_difference
  (id, provider, object, kind, provider_key, provider_reference, order_id, row_id, ours, theirs, state, repair, repairs,
   resolution, first_seen_at, last_seen_at, ended_at)
SELECT id, 'payments', CASE WHEN n <= {FEW} THEN 'refund' ELSE 'charge' END,
       CASE WHEN n <= {FEW} THEN 'amount' ELSE 'ours_only' END, 'charge-' || n, '', id, id, NULL, NULL, state, '', 0,
       CASE WHEN state = 'resolved' THEN 'looked at' ELSE '' END, at, at, CASE WHEN state <> 'open' THEN at END
FROM (SELECT *, CASE WHEN n <= {FEW} THEN 'resolved' WHEN n > {SOME_ROWS} - {FEW} THEN 'open' ELSE 'vanished' END
                AS state FROM {SOME}) AS new
"""
KEYS = """
INSERT INTO idempotency_idempotencykey
  (id, caller, method, path, key, fingerprint, status_code, body, headers, resource_id, created_at, expires_at)
SELECT id, 'customer-' || n %% 1000, 'POST', '/orders', 'key-' || n, '\\x00', 201, '\\x00', '{}', id, at,
       at + interval '1 day' FROM moment
"""
# One person did nearly everything; the oldest were of another, and approved.
ACTS = f"""
INSERT INTO outbox_operatoract
  (id, who_id, approved_by_id, verb, target_type, target_id, reason, detail, acted_at)
SELECT id, {CUSTOMER} + CASE WHEN n <= {FEW} THEN 1 ELSE 2 END, CASE WHEN n <= {FEW} THEN {CUSTOMER} + 2 END,
       CASE WHEN n <= {FEW} THEN 'resolve' ELSE 'requeue' END,
       CASE WHEN n <= {FEW} THEN 'difference' ELSE 'outboxmessage' END, id, 'mended', '{{}}', at
FROM moment
"""
PROPOSALS = f"""
INSERT INTO outbox_proposal
  (id, verb, target_type, target_id, answers, seen, reason, state, proposed_by_id, proposed_at, expires_at,
   decided_by_id, decided_at, decision)
SELECT id, 'skip', 'outboxmessage', id, '{{}}', '', 'obsolete', state,
       {CUSTOMER} + CASE WHEN n <= {FEW} THEN 1 ELSE 2 END, at, at + interval '1 day',
       CASE WHEN is_decided THEN {CUSTOMER} + 3 END, CASE WHEN is_decided THEN at END, ''
FROM (SELECT *, state IN ('approved', 'declined') AS is_decided FROM (
          SELECT *, CASE WHEN n <= {FEW} THEN 'declined' WHEN n <= {2 * FEW} THEN 'expired'
                         WHEN n > {SOME_ROWS} - {FEW} THEN 'open' ELSE 'approved' END AS state FROM {SOME}) AS stands
     ) AS new
"""
REQUEUE_ORDERS = f"""
INSERT INTO outbox_requeueorder
  (id, who_id, reason, error_fingerprint, error_pattern, destination, type, rate_per_second, status, found, requeued,
   ordered_at, paced_until, ended_at)
SELECT id, {CUSTOMER} + 2, 'mended', '', '', 'grown.gone_' || n, '', 50, status, 1, 1, at, at,
       CASE WHEN status IN ('done', 'cancelled') THEN at END
FROM (SELECT *, CASE WHEN n <= {FEW} THEN 'cancelled' WHEN n > {SOME_ROWS} - {FEW // 10} THEN 'open' ELSE 'done' END
                AS status FROM {SOME}) AS new
"""
# Of customers the others know the names.
ROWS = (
    GROUP, ORDERS, LINES, SAGAS, STEPS, INBOX, PAYMENTS, REFUNDS, SHIPMENTS, CANCELLATIONS, PRODUCTS, STOCK,
    RESERVATIONS, NOTIFICATIONS, DIFFERENCES, KEYS, ACTS, PROPOSALS, REQUEUE_ORDERS,
)  # fmt: skip
TABLES = (
    "auth_user", "orders_order", "orders_orderline", "sagas_saga", "sagas_sagastep", "outbox_inboxmessage",
    "payments_payment", "payments_refund", "shipping_shipment", "shipping_cancellation", "inventory_product",
    "inventory_productprice", "inventory_stockitem", "inventory_reservation", "notifications_notification",
    "audit_difference", "idempotency_idempotencykey", "outbox_operatoract", "outbox_proposal", "outbox_requeueorder",
)  # fmt: skip
