"""The addresses of orders."""

from django.urls import path

from .views import OrderCancellation, OrderCollection, OrderDetail, OrderTimeline

urlpatterns = [
    path("orders", OrderCollection.as_view(), name="orders"),
    path("orders/<uuid:order_id>", OrderDetail.as_view(), name="order"),
    path("orders/<uuid:order_id>/timeline", OrderTimeline.as_view(), name="order-timeline"),
    path("orders/<uuid:order_id>/cancel", OrderCancellation.as_view(), name="cancel-order"),
]
