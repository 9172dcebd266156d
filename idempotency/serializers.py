"""How a use of a key is shown to its caller: never the stored answer itself."""

from typing import Any

from rest_framework import serializers


class IdempotencyKeyUseSerializer(serializers.Serializer):
    method = serializers.CharField()
    path = serializers.CharField()
    state = serializers.SerializerMethodField(help_text="`finished`, or `expired`: then the key is free again.")
    status_code = serializers.IntegerField()
    order = serializers.CharField(source="resource_id", help_text="The id of what the answer was about.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()

    def get_state(self, use: Any) -> str:
        return "expired" if use.has_expired else "finished"


class IdempotencyKeySerializer(serializers.Serializer):
    key = serializers.CharField()
    uses = IdempotencyKeyUseSerializer(many=True)
