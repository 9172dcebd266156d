"""`GET /products`: what can be ordered, at which price, and how much of it there is."""

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView

from outbox.filters import refuse_unknown
from outbox.money import EXPONENTS

from . import selectors
from .models import ProductPrice
from .pagination import CataloguePages
from .serializers import ProductSerializer

PARAMETERS = ("currency", "page", "page_size")


@extend_schema_view(
    get=extend_schema(
        operation_id="products",
        summary="The catalogue",
        parameters=[OpenApiParameter("currency", OpenApiTypes.STR, description="Only prices in this currency.")],
    )
)
class ProductList(ListAPIView):
    """What can be ordered: a row per product and currency."""

    serializer_class = ProductSerializer
    pagination_class = CataloguePages
    filter_backends = ()
    queryset = ProductPrice.objects.none()  # names the model for the schema

    def get_queryset(self) -> QuerySet[ProductPrice]:
        refuse_unknown(self.request.query_params, PARAMETERS)
        currency = self.request.query_params.get("currency")
        if currency is not None and currency not in EXPONENTS:
            raise ValidationError({"currency": [f"Not a currency we know: there are {', '.join(EXPONENTS)}."]})
        return selectors.catalogue(currency=currency)
