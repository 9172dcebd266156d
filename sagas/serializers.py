"""What staff see of sagas. Data and outputs are shown with secrets masked, and only one saga at a time."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from outbox.masking import masked

from . import selectors
from .models import Saga


class RunSerializer(serializers.Serializer):
    status = serializers.CharField()
    attempts = serializers.IntegerField()
    started_at = serializers.DateTimeField(allow_null=True)
    called_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    output = serializers.DictField(allow_null=True)
    error = serializers.CharField()


class StepSerializer(serializers.Serializer):
    name = serializers.CharField()
    is_current = serializers.BooleanField()
    is_pivot = serializers.BooleanField()
    action = RunSerializer()
    undo = RunSerializer(allow_null=True)


class WaitingSerializer(serializers.Serializer):
    key = serializers.UUIDField()
    message_id = serializers.UUIDField()
    destination = serializers.CharField()
    reading = serializers.CharField()
    due_at = serializers.DateTimeField()
    attempts = serializers.IntegerField()
    last_error = serializers.CharField()


class SagaSerializer(serializers.ModelSerializer):
    class Meta:
        model = Saga
        fields = (
            "id", "name", "version", "subject_id", "status", "direction", "current_step", "reason", "last_error",
            "started_at", "ended_at", "deadline_at", "cancel_requested_at",
        )  # fmt: skip


class SagaDetailSerializer(SagaSerializer):
    steps = serializers.SerializerMethodField()
    waits_for = serializers.SerializerMethodField()
    data = serializers.SerializerMethodField()  # type: ignore[assignment]  # a field, not the serializer's own data

    class Meta(SagaSerializer.Meta):
        fields = (*SagaSerializer.Meta.fields, "steps", "waits_for", "data")  # type: ignore[assignment]  # longer than the list's

    @extend_schema_field(StepSerializer(many=True))
    def get_steps(self, saga: Saga) -> Any:
        return StepSerializer(selectors.steps_of(saga), many=True).data

    @extend_schema_field(WaitingSerializer(allow_null=True))
    def get_waits_for(self, saga: Saga) -> dict[str, Any] | None:
        waiting = selectors.waits_for(saga)
        return WaitingSerializer(waiting).data if waiting else None

    def get_data(self, saga: Saga) -> dict[str, Any]:
        return masked(saga.data)
