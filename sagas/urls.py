"""Addresses of the staff's read API of sagas."""

from django.urls import path

from .views import SagaDetail, SagaList

urlpatterns = [
    path("sagas", SagaList.as_view(), name="sagas"),
    path("sagas/<uuid:pk>", SagaDetail.as_view(), name="saga"),
]
