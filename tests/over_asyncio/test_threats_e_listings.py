"""Listings against hostile servers, over asyncio."""

from tests import test_threats_e_listings as suite
from tests.over_asyncio import adopt

adopt(suite, globals())
