"""THREATS, section B, over asyncio."""

from tests import test_threats_b_login as suite
from tests.over_asyncio import adopt

adopt(suite, globals())
