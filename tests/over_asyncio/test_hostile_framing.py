"""Framing withstands hostile servers over asyncio, too."""

from tests.over_asyncio import ALONE, adopt
from tests.pop3 import test_hostile_framing as suite

adopt(
    suite,
    globals(),
    {"test_endless_replies_are_errors_in_little_memory": ALONE, "test_streaming_needs_the_memory_of_one_chunk": ALONE},
)
