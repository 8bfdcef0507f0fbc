"""Replies out of step and slow replies are detected over asyncio, too."""

from tests.over_asyncio import adopt
from tests.pop3 import test_hostile_order as suite

adopt(suite, globals())
