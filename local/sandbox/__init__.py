"""A payment provider and a carrier to develop and test against: a process of their own, a ledger of their own.

They behave as real ones do, idempotency keys included, and misbehave on request (docs/sandbox.md).
"""
