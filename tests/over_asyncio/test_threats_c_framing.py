"""The framing of messages against hostile servers, over asyncio."""

from tests import test_threats_c_framing as suite
from tests.over_asyncio import ALONE, adopt

adopt(
    suite,
    globals(),
    {"test_endless_replies_in_little_memory": ALONE, "test_streaming_takes_one_chunk": ALONE},
)
