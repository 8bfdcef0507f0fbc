"""Replies out of step, and time, over asyncio."""

from tests import test_threats_d_step as suite
from tests.over_asyncio import adopt

adopt(suite, globals())
