"""Idempotency keys: one order per use, its answer beside it, never another caller's (I2).

A key that has expired may be used again and is purged: what is not there any more is not judged.
"""

from audit.check import Check, When

# Answers that name an order. The answer's bytes are read as they are, without a decoder that could stumble.
ANSWERS = """
    SELECT k.id, k.caller, k.resource_id, k.status_code, encode(k.body, 'escape') AS answer
    FROM idempotency_idempotencykey k
    WHERE k.id BETWEEN %(since_key)s AND %(until_key)s AND k.method = 'POST' AND k.path = '/orders'
      AND k.resource_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
"""

CHECKS = (
    Check(
        promise="I2",
        name="every_answered_order_is_there",
        says="A stored answer names an order that does not exist.",
        # Primary keys of both.
        sql=f"""
            SELECT a.id AS key_id, a.caller, a.resource_id AS order_id FROM ({ANSWERS}) a
            WHERE NOT EXISTS (SELECT FROM orders_order o WHERE o.id = a.resource_id::uuid)
        """,
    ),
    Check(
        promise="I2",
        name="an_answer_is_about_the_order_of_its_caller",
        says="A stored answer names an order of somebody else, or its bytes tell of another order or amount.",
        # Primary key of orders. The amount is compared without its point: its digits are the minor units.
        sql=f"""
            SELECT a.id AS key_id, a.caller, o.customer_id, o.id AS order_id
            FROM ({ANSWERS}) a JOIN orders_order o ON o.id = a.resource_id::uuid
            WHERE a.caller <> 'user:' || o.customer_id OR a.status_code <> 201
               OR substring(a.answer FROM '"id": ?"([^"]*)"') IS DISTINCT FROM a.resource_id
               OR substring(a.answer FROM '"currency": ?"([^"]*)"') IS DISTINCT FROM o.currency
               OR replace(substring(a.answer FROM '"total": ?"([0-9.]+)"'), '.', '')::numeric
                  IS DISTINCT FROM o.total_minor
        """,
    ),
    Check(
        promise="I2",
        name="an_order_answers_one_key",
        says="Two keys were answered with one order.",
        # Reads the keys, which live for a day.
        sql=f"""
            SELECT a.resource_id AS order_id, array_agg(a.id) AS key_ids FROM ({ANSWERS}) a
            GROUP BY a.resource_id HAVING count(*) > 1
        """,
    ),
    Check(
        promise="I2",
        name="a_key_is_used_once_per_caller_and_route",
        says="One caller has used one key on one route more than once.",
        sql="""
            SELECT k.caller, k.method, k.path, array_agg(k.id) AS key_ids FROM idempotency_idempotencykey k
            GROUP BY k.caller, k.key, k.method, k.path HAVING count(*) > 1
        """,
        when=When.WHOLE,
    ),
    Check(
        promise="I2",
        name="a_key_has_its_answer",
        says="A key was committed without the answer that every repetition gets.",
        sql="""
            SELECT k.id AS key_id, k.caller, k.path, k.created_at FROM idempotency_idempotencykey k
            WHERE k.id BETWEEN %(since_key)s AND %(until_key)s AND (k.status_code IS NULL OR k.body IS NULL)
        """,
    ),
    Check(
        promise="I2",
        name="every_order_has_its_key",
        says="Keys are required, and no key that lives was answered with this order.",
        # Both sides are hashed. A key expires by the lifetime that it was given; one minute for a setting's change.
        sql=f"""
            SELECT o.id AS order_id, o.customer_id, o.placed_at FROM audit_order o
            LEFT JOIN ({ANSWERS}) a ON a.resource_id = o.id::text
            WHERE %(keys_required)s AND a.id IS NULL
              AND o.placed_at > statement_timestamp() - make_interval(secs => 3600 * %(keys_kept_hours)s - 60)
        """,
        when=When.WHOLE,
    ),
)
