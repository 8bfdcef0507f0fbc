"""The tests of the connection also pass over asyncio."""

from tests.over_asyncio import CALLBACKS, adopt
from tests.pop3 import test_connection as suite

adopt(
    suite,
    globals(),
    {
        "test_a_sink_that_uses_its_session_is_refused": CALLBACKS,
        "test_a_sink_may_close_the_connection": CALLBACKS,
        "test_the_callers_iterator_may_use_the_connection": CALLBACKS,
        "test_garbage_collection_sends_nothing": "an unreferenced transport is closed by its event loop",
    },
)
