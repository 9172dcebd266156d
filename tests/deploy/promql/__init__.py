"""As much of PromQL as our alerts and dashboards use: parsed, and evaluated over samples of a test's own.

Held against Prometheus' own promtool, which reads the same alerts and the same tests
(deploy/prometheus/alerts_test.yml).
"""
