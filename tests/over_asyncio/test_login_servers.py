"""Every mechanism logs in to real servers over asyncio, too."""

from tests.over_asyncio import adopt
from tests.pop3 import test_login_servers as suite

adopt(suite, globals())
