"""What staff see of messages. Payloads are shown with secrets masked, and only one message at a time."""

from typing import Any

from rest_framework import serializers

from . import selectors
from .masking import masked
from .models import InboxMessage, OutboxMessage


class OutboxMessageSerializer(serializers.ModelSerializer):
    reading = serializers.CharField(
        help_text=f"What an open message is doing ({', '.join(selectors.Reading.values)}), else its state."
    )

    class Meta:
        model = OutboxMessage
        fields = (
            "key", "message_id", "destination", "type", "state", "reading", "aggregate_type", "aggregate_id",
            "sequence", "correlation_id", "attempts", "last_error", "created_at", "scheduled_for", "due_at",
            "claimed_at", "finished_at",
        )  # fmt: skip


class OutboxMessageDetailSerializer(OutboxMessageSerializer):
    payload = serializers.SerializerMethodField()
    headers = serializers.SerializerMethodField()

    class Meta(OutboxMessageSerializer.Meta):
        fields = (*OutboxMessageSerializer.Meta.fields, "order_free", "epoch", "payload", "headers")  # type: ignore[assignment]  # longer than the list's

    def get_payload(self, message: OutboxMessage) -> dict[str, Any]:
        return masked(message.payload)

    def get_headers(self, message: OutboxMessage) -> dict[str, Any]:
        return masked(message.headers)


class InboxMessageSerializer(serializers.ModelSerializer):
    class Meta:
        model = InboxMessage
        fields = ("consumer", "message_id", "received_at")


class InboxPageSerializer(serializers.Serializer):
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = InboxMessageSerializer(many=True)
