"""THREATS, section C, over asyncio."""

from tests import test_threats_c_framing as suite
from tests.over_asyncio import ALONE, adopt

adopt(
    suite,
    globals(),
    {"test_threat_47_endless_in_little_memory": ALONE, "test_threat_47_streaming_takes_one_chunk": ALONE},
)
