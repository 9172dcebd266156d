"""The live page, its refreshing part, and a breaker by hand; all under /admin/."""

from django.contrib import admin
from django.urls import path

from . import breaker_views, views

urlpatterns = [
    path("", admin.site.admin_view(views.live), name="live"),
    path("panels", admin.site.admin_view(views.panels), name="live-panels"),
    path("breakers/<slug:provider>/<slug:verb>", admin.site.admin_view(breaker_views.by_hand), name="breaker-by-hand"),
]
