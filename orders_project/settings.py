"""Every setting of the service, in one file, with its unit in its name.

Values come from the environment; `.env` (yours) and `.local/env` (written by `make up`, so that a second shell finds
the running servers) fill in what the environment leaves out. `.env.example` lists every variable.
"""

from datetime import timedelta
from pathlib import Path

from orders_project.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent

# Remembers what it was asked for, and what came from where, for `manage.py config`.
env = Environment()
env.fill_in(BASE_DIR / ".env")
env.fill_in(Path(env.str("ORDERS_LOCAL_DIR", str(BASE_DIR / ".local"))) / "env")

# ── Django ────────────────────────────────────────────────────────────────────────────────────────────────────────────

DEBUG = env.bool("DEBUG", False)
# The default is refused by `check --deploy` and by `orders_project.checks` when DEBUG is off.
SECRET_KEY = env.str("SECRET_KEY", "insecure-development-key")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "orders_project.apps.OrdersProjectConfig",
    "operators",
    "audit",
    "orders",
    "sagas",
    "inventory",
    "payments",
    "shipping",
    "notifications",
    "outbox",
    "idempotency",
    "providers",
    "rest_framework",
    "rest_framework.authtoken",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
]
# Development only: the sandbox, the drill, the embedded servers. Never installed in an image.
LOCAL_TOOLS = env.bool("LOCAL_TOOLS", DEBUG)
if LOCAL_TOOLS:
    INSTALLED_APPS.append("local")

MIDDLEWARE = [
    "orders_project.middleware.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "orders_project.urls"
WSGI_APPLICATION = "orders_project.wsgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "orders_project" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
LANGUAGE_CODE = "en"
# Times in the admin: to the second, UTC.
FORMAT_MODULE_PATH = ["orders_project.formats"]
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = DEBUG
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

# Behind a TLS proxy in production; `make up` serves plain HTTP on loopback.
HTTPS_ONLY = env.bool("HTTPS_ONLY", not DEBUG)
SECURE_SSL_REDIRECT = HTTPS_ONLY
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_TLS_PROXY", False) else None
# Probes come from inside the cluster, without TLS.
SECURE_REDIRECT_EXEMPT = [r"^health/(live|ready)$", r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS_ONLY else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS_ONLY
SECURE_HSTS_PRELOAD = HTTPS_ONLY
SESSION_COOKIE_SECURE = HTTPS_ONLY
CSRF_COOKIE_SECURE = HTTPS_ONLY

# ── Postgres: the truth ───────────────────────────────────────────────────────────────────────────────────────────────

DATABASES = {"default": env.db("DATABASE_URL", default="postgres://orders:orders@127.0.0.1:5432/orders")}
# A worker frozen inside a transaction must not hold a hot row for longer than a claim lasts, so every bound is below
# the claim time (orders_project.checks proves it). `idle_session_timeout` stays unset: it would end LISTEN.
DATABASE_STATEMENT_TIMEOUT_SECONDS = env.int("DATABASE_STATEMENT_TIMEOUT_SECONDS", 10)
DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS = env.int("DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS", 10)
# Also how long a request waits for its twin (the same Idempotency-Key, still running) before it answers 409.
DATABASE_LOCK_TIMEOUT_SECONDS = env.float("DATABASE_LOCK_TIMEOUT_SECONDS", 2.0)
# 0: one persistent connection per thread (workers). gunicorn.conf.py sets a number: a pool shared by the web's threads.
DATABASE_POOL_MAX_SIZE = env.int("DATABASE_POOL_MAX_SIZE", 0)
# Executions after which a connection prepares a statement; 0: never (a pooler that does not know prepared statements).
DATABASE_PREPARE_AFTER = env.int("DATABASE_PREPARE_AFTER", 5)
DATABASES["default"].update(
    {
        "ENGINE": "django.db.backends.postgresql",
        "CONN_MAX_AGE": 0 if DATABASE_POOL_MAX_SIZE else None,
        "CONN_HEALTH_CHECKS": True,
    }
)
DATABASES["default"].setdefault("OPTIONS", {}).update(
    {
        "connect_timeout": 3,
        "application_name": env.str("PROCESS_NAME", "orders"),
        "options": (
            f"-c statement_timeout={DATABASE_STATEMENT_TIMEOUT_SECONDS}s"
            f" -c lock_timeout={int(DATABASE_LOCK_TIMEOUT_SECONDS * 1000)}ms"
            f" -c idle_in_transaction_session_timeout={DATABASE_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS}s"
        ),
    }
)
if DATABASE_PREPARE_AFTER:
    # Parsed once and planned each time: a plan that was kept from when a table was small reads all of it when it has
    # grown (docs/decisions/0021).
    DATABASES["default"]["OPTIONS"] |= {"server_side_binding": True, "prepare_threshold": DATABASE_PREPARE_AFTER}
    DATABASES["default"]["OPTIONS"]["options"] += " -c plan_cache_mode=force_custom_plan"
if DATABASE_POOL_MAX_SIZE:
    DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 2, "max_size": DATABASE_POOL_MAX_SIZE, "timeout": 5}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# ── Celery: the doorbell ──────────────────────────────────────────────────────────────────────────────────────────────

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", "redis://127.0.0.1:6379/0")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
# A lost task is a lost ring, and rings are repeated: acknowledging early is enough (docs/decisions).
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# A Redis that becomes a replica, is full or forgets its scripts answers errors: without this they end the worker (F2).
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BROKER_POOL_LIMIT = 10
CELERY_BROKER_CONNECTION_TIMEOUT = 2
if CELERY_BROKER_URL.startswith("amqp"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True, "socket_timeout": 5}
    CELERY_TASK_DEFAULT_QUEUE_TYPE = "quorum"
    CELERY_WORKER_DETECT_QUORUM_QUEUES = True
else:
    if CELERY_BROKER_URL.startswith(("redis://", "rediss://")):
        CELERY_BROKER_TRANSPORT = "orders_project.celery_redis:Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "socket_keepalive": True,
        "retry_on_timeout": False,
    }
# Prefork only: a batch takes milliseconds, and who outlasts a claim (15 s) works on what another has taken over
# (orders_project.checks proves it). Threads keep their own deadlines.
CELERY_TASK_SOFT_TIME_LIMIT = 12
CELERY_TASK_TIME_LIMIT = 14
# Without it Celery closes the database connection around every task, pool or not.
CELERY_DB_REUSE_MAX = 1_000_000
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "orders_project.celery_beat:Scheduler"

# Redis for the throttle's counters; unset: each process counts for itself. Never a store of record.
THROTTLE_REDIS_URL = env.str("THROTTLE_REDIS_URL", CELERY_BROKER_URL if CELERY_BROKER_URL.startswith("redis") else "")
# 0 switches throttling off.
THROTTLE_REQUESTS_PER_MINUTE = env.int("THROTTLE_REQUESTS_PER_MINUTE", 0 if DEBUG else 6_000)
# What a dead or slow Redis may cost a request at most.
THROTTLE_REDIS_TIMEOUT_MS = 50

# ── The engine: each app's conf.py freezes its part with defaults and units ───────────────────────────────────────────

OUTBOX = {
    "POLL_INTERVAL_MS": env.int("OUTBOX_POLL_INTERVAL_MS", 500),
    "RELAY_BATCH_SIZE": env.int("OUTBOX_RELAY_BATCH_SIZE", 100),
    "CLAIM_BATCH_SIZE": env.int("OUTBOX_CLAIM_BATCH_SIZE", 50),
    # Under a backlog a claim grows up to this size, and shrinks again with it.
    "CLAIM_BATCH_MAX_SIZE": env.int("OUTBOX_CLAIM_BATCH_MAX_SIZE", 200),
    "CLAIM_SECONDS": env.float("OUTBOX_CLAIM_SECONDS", 15.0),
    "REMOTE_CLAIM_SECONDS": env.float("OUTBOX_REMOTE_CLAIM_SECONDS", 30.0),
    "MAX_ATTEMPTS": env.int("OUTBOX_MAX_ATTEMPTS", 10),
    "BACKOFF_BASE_SECONDS": env.float("OUTBOX_BACKOFF_BASE_SECONDS", 2.0),
    "BACKOFF_CAP_SECONDS": env.float("OUTBOX_BACKOFF_CAP_SECONDS", 300.0),
    "RETENTION_DAYS": env.int("OUTBOX_RETENTION_DAYS", 7),
    "INBOX_RETENTION_DAYS": env.int("INBOX_RETENTION_DAYS", 14),
    # Worker slots per queue over all machines: how many rings of one destination may be under way at once.
    "QUEUE_SLOTS": {
        "default": env.int("WORKER_SLOTS", 2),
        "steps": env.int("WORKER_SLOTS", 2),
        "payments": env.int("REMOTE_WORKER_COUNT", 1),
        "shipping": env.int("REMOTE_WORKER_COUNT", 1),
        "notifications": env.int("REMOTE_WORKER_COUNT", 1),
    },
    # Destinations outside: name -> transport, its options, and the event types it gets ("order.*" and "*" work).
    "DESTINATIONS": {},
    # Queues that other services consume, with the event types bound to each; `manage.py topology` makes them.
    "WORK_QUEUES": {
        "inventory.order-created.q": ["order.created.*"],
        "payment.order-created.q": ["order.created.*"],
    },
}
if env.bool("OUTBOX_CONSOLE", False):
    OUTBOX["DESTINATIONS"]["console"] = {
        "BACKEND": "outbox.transports.console.ConsoleTransport",
        "TYPES": ["order.*", "payment.*", "shipment.*", "stock.*", "message.*"],
    }
# Events for other services. Not Celery's broker, though one server may be both.
RABBITMQ_URL = env.str("RABBITMQ_URL", "")
# One batch: connecting, publishing, all its confirms. Below the claim (orders_project.checks proves it).
RABBITMQ_SEND_SECONDS = env.float("RABBITMQ_SEND_SECONDS", 10.0)
if RABBITMQ_URL:
    OUTBOX["DESTINATIONS"]["rabbitmq"] = {
        "BACKEND": "outbox.transports.rabbitmq.RabbitMQTransport",
        # Only what some queue is bound for: an event that nobody would get holds up the destination, not silently.
        "TYPES": env.list("RABBITMQ_EVENT_TYPES", default=["order.created.*"]),
        "OPTIONS": {
            "url": RABBITMQ_URL,
            "ca_file": env.str("RABBITMQ_CA_FILE", ""),
            "send_seconds": RABBITMQ_SEND_SECONDS,
        },
    }

SAGAS = {
    "STEP_MAX_ATTEMPTS": env.int("SAGA_STEP_MAX_ATTEMPTS", 8),
    "DEADLINE_HOURS": env.float("SAGA_DEADLINE_HOURS", 24.0),
    "SWEEP_INTERVAL_SECONDS": env.float("SAGA_SWEEP_INTERVAL_SECONDS", 5.0),
    "RETENTION_DAYS": env.int("SAGA_RETENTION_DAYS", 7),
}

IDEMPOTENCY = {
    "LIFETIME_HOURS": env.float("IDEMPOTENCY_LIFETIME_HOURS", 24.0),
    # True: a POST without an Idempotency-Key is a 400.
    "REQUIRED": env.bool("IDEMPOTENCY_REQUIRED", False),
    "STORED_ANSWER_MAX_BYTES": 65_536,
    # When this share of a process's request threads already waits for twins, the next one is told 409 at once.
    "WAITING_THREADS_MAX_SHARE": 0.25,
    # As gunicorn.conf.py reads it: request threads of one process.
    "REQUEST_THREADS": env.int("WEB_THREADS", 16),
}

AUDIT = {
    # Beside live traffic an order is judged once it ended longer ago than that.
    "SETTLED_SECONDS": env.float("AUDIT_SETTLED_SECONDS", 60.0),
    # The frequent audit of what is new; `manage.py audit` judges everything.
    "INTERVAL_SECONDS": env.float("AUDIT_INTERVAL_SECONDS", 300.0),
    # A whole audit reads whole tables: longer than the web's statement timeout.
    "STATEMENT_TIMEOUT_SECONDS": env.int("AUDIT_STATEMENT_TIMEOUT_SECONDS", 600),
}

RECONCILIATION = {
    "INTERVAL_SECONDS": env.float("RECONCILIATION_INTERVAL_SECONDS", 60.0),
    # Beyond the provider's in-flight horizon: what moved since may be under way, and is not compared yet.
    "SETTLED_SECONDS": env.float("RECONCILIATION_SETTLED_SECONDS", 10.0),
}

# ── Operators ─────────────────────────────────────────────────────────────────────────────────────────────────────────

# True: a dangerous verb (skip, resolve, edit) is only proposed, and done when a second person approves it.
OPERATOR_TWO_PERSON_RULE = env.bool("OPERATOR_TWO_PERSON_RULE", False)

# ── Providers: somebody else's API ────────────────────────────────────────────────────────────────────────────────────

PROVIDER_DEFAULTS = {
    "CONNECT_TIMEOUT_SECONDS": 3.0,
    "READ_TIMEOUT_SECONDS": 10.0,
    "TOTAL_DEADLINE_SECONDS": env.float("PROVIDER_TOTAL_DEADLINE_SECONDS", 12.0),
    # Calls under way at once, per process: at most, and what is left when the provider keeps turning us away.
    "CALL_SLOTS": env.int("PROVIDER_CALL_SLOTS", 16),
    "CALL_SLOTS_MIN": env.int("PROVIDER_CALL_SLOTS_MIN", 2),
    # "Absent" means "nothing happened" only when the call is older than this.
    "IN_FLIGHT_HORIZON_SECONDS": env.float("PROVIDER_IN_FLIGHT_HORIZON_SECONDS", 20.0),
    "ANSWER_MAX_BYTES": 1_048_576,
    "BREAKER_FAILURES": env.int("PROVIDER_BREAKER_FAILURES", 5),
    "BREAKER_OPEN_SECONDS": env.float("PROVIDER_BREAKER_OPEN_SECONDS", 10.0),
}
SANDBOX_URL = env.str("SANDBOX_URL", "http://127.0.0.1:8099")
PROVIDERS = {
    "payments": PROVIDER_DEFAULTS,
    "shipping": PROVIDER_DEFAULTS,
    "notifications": PROVIDER_DEFAULTS,
}
PAYMENT_GATEWAY = {
    "BACKEND": env.str("PAYMENT_GATEWAY", "payments.gateways.sandbox.SandboxGateway"),
    "OPTIONS": {"url": SANDBOX_URL, "api_key": env.str("PAYMENT_API_KEY", "sandbox-key")},
}
# The provider signs its webhooks with this; the sandbox uses the same default.
PAYMENT_WEBHOOK_SECRET = env.str("PAYMENT_WEBHOOK_SECRET", "sandbox-webhook-secret")
PAYMENT_WEBHOOK_TOLERANCE_SECONDS = 300
CARRIER = {
    "BACKEND": env.str("CARRIER", "shipping.carriers.sandbox.SandboxCarrier"),
    "OPTIONS": {"url": SANDBOX_URL, "api_key": env.str("CARRIER_API_KEY", "sandbox-key")},
}
NOTIFICATION_CHANNEL = {
    "BACKEND": env.str("NOTIFICATION_CHANNEL", "notifications.channels.email.EmailChannel"),
    "OPTIONS": {},
}
EMAIL_CONFIG = env.email("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "orders@localhost")

# ── API ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

REQUEST_BODY_MAX_BYTES = 65_536
REQUEST_JSON_MAX_DEPTH = 20
ORDER_MAX_LINES = 100
ORDER_LINE_MAX_QUANTITY = 10_000
# What an order gets that names none: its prices' currency, and the token that the payment provider charges.
ORDER_DEFAULT_CURRENCY = env.str("ORDER_DEFAULT_CURRENCY", "EUR")
ORDER_DEFAULT_PAYMENT_METHOD = env.str("ORDER_DEFAULT_PAYMENT_METHOD", "tok_ok")
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        # First in the list decides 401 against 403 for anonymous callers.
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["orders_project.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        "rest_framework.renderers.BrowsableAPIRenderer",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["orders_project.throttling.CallerThrottle"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "orders_project.problem_details.exception_handler",
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Orders",
    "DESCRIPTION": "Takes orders and never loses one, never charges twice, never leaves a charge without a shipment.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "orders.openapi.staff_see_what_owners_see",
    ],
    # Several tables have a status and a direction: each set of values has its own name in the schema.
    "ENUM_NAME_OVERRIDES": {
        "OrderStatus": "orders.models.Order.Status",
        "SagaStatus": "sagas.models.Saga.Status",
        "SagaDirection": "sagas.models.Saga.Direction",
    },
}

# ── Telemetry ─────────────────────────────────────────────────────────────────────────────────────────────────────────

# Who may read /metrics: a bearer token; empty: only loopback.
METRICS_TOKEN = env.str("METRICS_TOKEN", "")
# host:port where web, relay, workers and beat serve /metrics by themselves, without a token; empty: nowhere.
METRICS_BIND = env.str("METRICS_BIND", "")
LOG_LEVEL = env.str("LOG_LEVEL", "INFO")
# json in production, console for people.
LOG_FORMAT = env.str("LOG_FORMAT", "console" if DEBUG else "json")
LOGGING_CONFIG = None  # orders_project.logs configures structlog and the standard library together.

SESSION_COOKIE_AGE = int(timedelta(hours=12).total_seconds())
