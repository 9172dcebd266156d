"""What the audit keeps: its last frequent run, so that every process tells the same metric and the next run goes on."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class AuditRun(models.Model):
    """The last audit of one name: one row, overwritten by each run that could judge."""

    name = models.CharField(primary_key=True, max_length=50)
    # By the database's clock, before anything was read: what the next run begins from.
    began_at = models.DateTimeField(db_default=Now())
    milliseconds = models.IntegerField()
    # {"I3": rows that violate it}, only of promises that are violated.
    violations = models.JSONField(default=dict)
    judged = models.JSONField(default=dict)
    # Orders that could not be judged yet: something of them was under way. Judged by the next run, however old.
    carried = models.JSONField(default=list)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(milliseconds__gte=0), name="an_audit_run_takes_no_negative_time")
        ]

    def __str__(self) -> str:
        return self.name
