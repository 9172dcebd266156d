"""Every address of the service: each app's own, then the project's. What is not listed here is a 404 problem."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from orders_project import health, metrics, views

urlpatterns = [
    path("", views.RootView.as_view(), name="root"),
    path("", include("orders.urls")),
    path("", include("inventory.urls")),
    path("", include("idempotency.urls")),
    path("", include("payments.urls")),
    path("", include("sagas.urls")),
    path("", include("outbox.urls")),
    path("admin/live/", include("operators.urls")),
    path("admin/", admin.site.urls),
    path("api-auth/", include("rest_framework.urls")),
    path("api/auth-token/", views.AuthTokenView.as_view(), name="auth-token"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    # To OPTIONS a page has nothing to say; REST framework would render a template that it has not.
    path(
        "api/docs/", SpectacularSwaggerView.as_view(url_name="schema", http_method_names=["get", "head"]), name="docs"
    ),
    path("favicon.ico", views.icon, name="icon"),
    path("problems/", views.problem_types, name="problem-types"),
    path("problems/<slug:slug>", views.problem_type, name="problem-type"),
    path("health/live", health.live, name="health-live"),
    path("health/ready", health.ready, name="health-ready"),
    path("health/details", health.HealthDetails.as_view(), name="health-details"),
    path("healthz", health.live, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("metrics", metrics.scrape, name="metrics"),
]
