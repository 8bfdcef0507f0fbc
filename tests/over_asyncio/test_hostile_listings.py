"""Listings withstand hostile servers over asyncio, too."""

from tests.mailbox import test_hostile_listings as suite
from tests.over_asyncio import adopt

adopt(suite, globals())
