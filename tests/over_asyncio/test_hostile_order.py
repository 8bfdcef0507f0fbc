"""Replies out of step, and time, over asyncio."""

from tests.over_asyncio import adopt
from tests.pop3 import test_hostile_order as suite

adopt(suite, globals())
