"""THREATS, section D, over asyncio."""

from tests import test_threats_d_step as suite
from tests.over_asyncio import adopt

adopt(
    suite,
    globals(),
    {"test_threat_66_no_quit_without_being_said": "who is forgotten is closed by the event loop; see test_pop3_aio"},
)
