"""The timeline's two bodies: an owner's and, with everything, staff's."""

from rest_framework import serializers

from .timeline import Timeline
from .timeline_entries import Kind


class EntrySerializer(serializers.Serializer):
    kind = serializers.ChoiceField(choices=[kind.value for kind in Kind])
    name = serializers.CharField(help_text="What of that kind: a step, a product, a kind of notice.")
    status = serializers.CharField(help_text="Empty where it only happened.")
    began_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True, help_text="Null while it goes on.")
    facts = serializers.DictField(help_text="Amounts, tracking numbers and the like, by name.")


class RowSerializer(serializers.Serializer):
    table = serializers.CharField()
    id = serializers.CharField()


class StaffEntrySerializer(EntrySerializer):
    attempts = serializers.IntegerField()
    error = serializers.CharField(allow_blank=True)
    row = RowSerializer(allow_null=True)


class GapSerializer(serializers.Serializer):
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    seconds = serializers.FloatField()
    before = serializers.CharField(allow_blank=True, help_text="The step that then began; empty while none has.")


class TimelineSerializer(serializers.Serializer):
    """As the order's owner sees it: entries in order of time."""

    order = serializers.UUIDField(source="order.pk")
    status = serializers.CharField(source="order.status")
    reason = serializers.SerializerMethodField()
    placed_at = serializers.DateTimeField(source="order.placed_at")
    ended_at = serializers.DateTimeField(source="order.ended_at", allow_null=True)
    read_at = serializers.DateTimeField(help_text="When it was read: what has no end goes on until then.")
    entries = EntrySerializer(many=True)

    def get_reason(self, timeline: Timeline) -> str | None:
        return timeline.order.reason or None


class StaffTimelineSerializer(TimelineSerializer):
    """As staff see it: every row, its errors, and what happens next."""

    entries = StaffEntrySerializer(many=True)
    gaps = GapSerializer(many=True, help_text="When no step was under way for a second or longer.")
    next = serializers.ListField(child=serializers.CharField(), help_text="What happens next, when, in sentences.")
    summary = serializers.CharField(allow_blank=True, help_text="What is left of a saga that is purged.")
    trace_id = serializers.CharField(allow_null=True)
    is_cut = serializers.BooleanField(help_text="There are more messages than are shown.")
    left_out = serializers.IntegerField(help_text="So many messages between the first and the last are not shown.")
