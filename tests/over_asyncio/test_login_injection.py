"""No octet of an argument is a command, over asyncio."""

from tests import test_login_injection as suite
from tests.over_asyncio import adopt

adopt(suite, globals())
