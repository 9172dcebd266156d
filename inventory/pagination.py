"""Pages of the catalogue: by number, at most 100 products each."""

from rest_framework.pagination import PageNumberPagination


class CataloguePages(PageNumberPagination):
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 100
