"""Connection and greeting against hostile servers and networks, over asyncio."""

from tests.over_asyncio import adopt
from tests.pop3 import test_hostile_greetings as suite

adopt(suite, globals())
