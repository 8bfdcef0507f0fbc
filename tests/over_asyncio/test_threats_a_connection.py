"""THREATS, section A, over asyncio."""

from tests import test_threats_a_connection as suite
from tests.over_asyncio import adopt

adopt(
    suite,
    globals(),
    {"test_threat_12_many_addresses": "it replaces the socket module; test_pop3_aio has the same"},
)
