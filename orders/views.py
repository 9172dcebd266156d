"""The orders' HTTP edge: parse, call one service, render.

Guarantee: a customer meets only their own orders, staff all of them; somebody else's is a 404. POST is one transaction.
"""

from typing import Any, cast
from uuid import UUID

import uuid_utils.compat as uuid_utils
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.exceptions import NotAuthenticated
from rest_framework.generics import GenericAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from idempotency.decorators import idempotent
from outbox.filters import StrictFilters

from . import refusals, selectors, services, telemetry, timeline
from .cancellation import request_cancel
from .exceptions import CancelUndecided, OrderAlreadyEnded, PricesDiffer, UnknownProducts
from .models import Order
from .openapi import IDEMPOTENCY_KEY, problems
from .pagination import OrderPages
from .permissions import CancelsOrder
from .serializers import OrderSerializer, PlaceOrderSerializer
from .timeline_audience import for_owner
from .timeline_serializers import StaffTimelineSerializer, TimelineSerializer


class OrderFilter(StrictFilters):
    page_parameters = ("cursor", "page_size")
    status = filters.ChoiceFilter(choices=Order.Status.choices)


class OrderCollection(GenericAPIView):
    """Orders, newest first: a customer's own, everybody's for staff. POST places another one."""

    serializer_class = PlaceOrderSerializer
    pagination_class = OrderPages
    filterset_class = OrderFilter
    queryset = Order.objects.none()  # names the model for the schema

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # Chosen before BEGIN, so that a commit whose reply was lost can be looked up.
        self.order_id = uuid_utils.uuid7()

    def get_queryset(self) -> QuerySet[Order]:
        return selectors.with_lines(selectors.visible_to(self.request.user))

    @extend_schema(
        operation_id="orders", summary="Your orders, newest first", responses={200: OrderSerializer(many=True)}
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        states = selectors.states(page or [])
        return self.get_paginated_response(OrderSerializer(states, many=True).data)

    @extend_schema(
        operation_id="place_order",
        summary="Place an order",
        parameters=[IDEMPOTENCY_KEY],
        request=PlaceOrderSerializer,
        responses={
            201: OrderSerializer,
            **problems(
                s400="Not acceptable; `errors` point at the fields. Or the key is invalid or missing.",
                s409="The price is not the expected one, or the first request with this key still runs.",
                s422="The key was used with another body.",
            ),
        },
    )
    @idempotent(has_landed=lambda view: selectors.has_order(view.order_id))
    def post(self, request: Request) -> Response:
        wanted = PlaceOrderSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        placed = self._place(customer_id_of(request), cast(dict[str, Any], request.data), wanted.validated_data)
        return Response(OrderSerializer(placed).data, status=201, headers={"Location": f"/orders/{placed.id}"})

    def _place(self, customer_id: int, body: dict[str, Any], wanted: dict[str, Any]) -> selectors.OrderState:
        try:
            return services.place_order(order_id=self.order_id, customer_id=customer_id, **wanted)
        except UnknownProducts as refusal:
            raise refusals.unknown_products(refusal, body, wanted["currency"]) from refusal
        except PricesDiffer as refusal:
            raise refusals.prices_differ(refusal, body, wanted["currency"]) from refusal

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        if response.status_code == 201:
            telemetry.name_order(response.headers["Location"].rpartition("/")[2])
        # After the commit, so that what is counted is there.
        if response.status_code == 201 and "Idempotent-Replay" not in response.headers:
            telemetry.ORDERS_PLACED.inc()
        return super().finalize_response(request, response, *args, **kwargs)


class OrderDetail(APIView):
    """One order and what has become of it."""

    @extend_schema(
        operation_id="order",
        summary="One order",
        responses={200: OrderSerializer, **problems(s404="There is no such order of yours.")},
    )
    def get(self, request: Request, order_id: UUID) -> Response:
        telemetry.name_order(order_id)
        return Response(_read(request, order_id))


class OrderTimeline(APIView):
    """What became of one order, in order of time: all of it for staff, what was done for them for its owner."""

    @extend_schema(
        operation_id="order_timeline",
        summary="One order's timeline",
        responses={
            200: PolymorphicProxySerializer(
                component_name="OrderTimeline",
                serializers=[TimelineSerializer, StaffTimelineSerializer],
                resource_type_field_name=None,
            ),
            **problems(s404="There is no such order of yours."),
        },
    )
    def get(self, request: Request, order_id: UUID) -> Response:
        telemetry.name_order(order_id)
        order = get_object_or_404(selectors.visible_to(request.user), id=order_id)
        story = timeline.read(order)
        if request.user.is_staff:
            return Response(StaffTimelineSerializer(story).data)
        return Response(TimelineSerializer(for_owner(story)).data)


class OrderCancellation(APIView):
    """POST asks to cancel the order. It is pending until everything is undone."""

    permission_classes = (IsAuthenticated, CancelsOrder)
    serializer_class = None

    @extend_schema(
        operation_id="cancel_order",
        summary="Cancel an order",
        parameters=[IDEMPOTENCY_KEY],
        request=None,
        responses={
            200: OrderSerializer,
            202: OrderSerializer,
            **problems(
                s403="You see the order, and may not cancel it.",
                s404="There is no such order of yours.",
                s409="The order has ended otherwise.",
            ),
        },
    )
    @idempotent()
    def post(self, request: Request, order_id: UUID) -> Response:
        telemetry.name_order(order_id)
        try:
            status = request_cancel(order_id)
        except OrderAlreadyEnded as refusal:
            raise refusals.already_ended(refusal) from refusal
        except CancelUndecided as refusal:
            raise refusals.undecided(refusal) from refusal
        return Response(_read(request, order_id), status=202 if status == Order.Status.PENDING else 200)


def customer_id_of(request: Request) -> int:
    """Whose order it will be: the authenticated caller's, never what a body says."""
    if request.user.pk is None:
        raise NotAuthenticated
    return request.user.pk


def _read(request: Request, order_id: UUID) -> dict[str, Any]:
    order = get_object_or_404(selectors.with_lines(selectors.visible_to(request.user)), id=order_id)
    [state] = selectors.states([order])
    return OrderSerializer(state).data
