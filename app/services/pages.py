"""Which part of a list is wanted, in words that handlers may use."""

from app.db.repo.flavors import ORDERS as _FLAVOR_ORDERS
from app.db.repo.flavors import FlavorFilter
from app.db.repo.identity import AccountFilter, AssignmentFilter
from app.db.repo.images import ORDERS as _IMAGE_ORDERS
from app.db.repo.images import Span
from app.db.repo.paging import Page
from app.db.repo.servers import ORDERS as _SERVER_ORDERS
from app.db.repo.servers import TagFilter

SERVER_ORDERS = frozenset(_SERVER_ORDERS)
FLAVOR_ORDERS = frozenset(_FLAVOR_ORDERS)
IMAGE_ORDERS = frozenset(_IMAGE_ORDERS)

__all__ = [
    "FLAVOR_ORDERS",
    "IMAGE_ORDERS",
    "SERVER_ORDERS",
    "AccountFilter",
    "AssignmentFilter",
    "FlavorFilter",
    "Page",
    "Span",
    "TagFilter",
]
