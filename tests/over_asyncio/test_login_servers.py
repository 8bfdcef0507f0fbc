"""Every mechanism on real servers, over asyncio."""

from tests import test_login_servers as suite
from tests.over_asyncio import adopt

adopt(suite, globals())
