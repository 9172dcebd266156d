# syntax=docker/dockerfile:1
# One image for every process of the service; docker-compose.yml tells which command each one runs.

FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY requirements.txt .
RUN python -m venv /venv && /venv/bin/pip install --require-hashes -r requirements.txt

FROM python:3.13-slim-bookworm AS runtime
# Metrics of all threads and workers of one container meet in one folder, empty at every start.
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PROMETHEUS_MULTIPROC_DIR=/tmp/metrics
RUN useradd --system --uid 10001 --no-create-home --home-dir /nonexistent orders
WORKDIR /app
COPY --from=build /venv /venv
# By name, so that development tools (local/) and tests never reach an image that is deployed.
COPY manage.py gunicorn.conf.py ./
COPY deploy/entrypoint deploy/alive.py deploy/
COPY orders_project orders_project
COPY operators operators
COPY audit audit
COPY orders orders
COPY sagas sagas
COPY inventory inventory
COPY payments payments
COPY shipping shipping
COPY notifications notifications
COPY outbox outbox
COPY idempotency idempotency
COPY providers providers
RUN env -u PROMETHEUS_MULTIPROC_DIR SECRET_KEY=only-for-collecting-files LOCAL_TOOLS=0 python manage.py collectstatic --no-input --verbosity 0
USER 10001
EXPOSE 8000
ENTRYPOINT ["/app/deploy/entrypoint"]
CMD ["gunicorn", "orders_project.wsgi", "--config", "gunicorn.conf.py"]

# Development only: the payment provider and the carrier with faults, in a process of their own.
FROM runtime AS sandbox
COPY local local
EXPOSE 8099
CMD ["python", "manage.py", "sandbox", "run", "--host", "0.0.0.0", "--port", "8099"]

FROM runtime AS service
