"""Connecting and the greeting withstand hostile servers and networks over asyncio, too."""

from tests.over_asyncio import adopt
from tests.pop3 import test_hostile_greetings as suite

adopt(suite, globals())
