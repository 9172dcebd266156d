"""The service's addresses and, beside them, the bare view."""

from django.urls import include, path

from benchmarks.views import BareOrders

urlpatterns = [path("bare/orders", BareOrders.as_view()), path("", include("orders_project.urls"))]
