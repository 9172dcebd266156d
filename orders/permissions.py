"""Who may do what to which order. Runs before the view, so before any answer is replayed."""

from django.http import Http404
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from . import selectors


class SeesOrder(BasePermission):
    """The order in the path is the caller's own, or the caller is staff. To others it does not exist: 404."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not selectors.visible_to(request.user).filter(id=view.kwargs["order_id"]).exists():
            raise Http404
        return True


class CancelsOrder(SeesOrder):
    """One's own order; of staff, whoever may operate sagas: to see an order is no leave to end it (403)."""

    message = "Seeing an order is not enough: only its customer, or who may operate sagas, cancels it."

    def has_permission(self, request: Request, view: APIView) -> bool:
        seen = super().has_permission(request, view)
        return seen and (
            request.user.has_perm("sagas.operate_saga")
            or selectors.visible_to(request.user)
            .filter(id=view.kwargs["order_id"], customer_id=request.user.pk)
            .exists()
        )
