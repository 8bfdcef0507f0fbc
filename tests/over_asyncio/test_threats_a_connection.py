"""Connection and greeting against hostile servers and networks, over asyncio."""

from tests import test_threats_a_connection as suite
from tests.over_asyncio import adopt

adopt(suite, globals())
