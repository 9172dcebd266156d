"""Who may do what to which order. Runs before the view, so before any answer is replayed."""

from django.http import Http404
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from . import selectors


class CancelsOrder(BasePermission):
    """One's own order; of staff, who see all, whoever may operate sagas (403). To others it does not exist: 404."""

    message = "Seeing an order is not enough: only its customer, or who may operate sagas, cancels it."

    def has_permission(self, request: Request, view: APIView) -> bool:
        seen = selectors.visible_to(request.user).filter(id=view.kwargs["order_id"])
        customer_id = seen.values_list("customer_id", flat=True).first()
        if customer_id is None:
            raise Http404
        return customer_id == request.user.pk or request.user.has_perm("sagas.operate_saga")
