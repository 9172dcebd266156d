"""Addresses of the staff's read API of outbox and inbox."""

from django.urls import path

from .views import InboxMessageList, OutboxMessageDetail, OutboxMessageList

urlpatterns = [
    path("outbox-messages", OutboxMessageList.as_view(), name="outbox-messages"),
    path("outbox-messages/<uuid:key>", OutboxMessageDetail.as_view(), name="outbox-message"),
    path("inbox-messages", InboxMessageList.as_view(), name="inbox-messages"),
]
