"""Arms the functions of every crash point when the process starts; what fires, and when, is told later."""

from django.apps import AppConfig


class ArmedConfig(AppConfig):
    name = "tests.armed"
    label = "armed"

    def ready(self) -> None:
        from tests.crash_points.points import POINTS

        from . import arming

        arming.arm([point for point in POINTS if point.seam is not None])
