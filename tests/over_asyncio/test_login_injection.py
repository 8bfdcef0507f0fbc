"""No byte of an argument becomes a command over asyncio, either."""

from tests.over_asyncio import adopt
from tests.pop3 import test_login_injection as suite

UNCONNECTED = "it does not connect"

adopt(
    suite,
    globals(),
    {
        "test_no_argument_of_a_command_accepts_control_characters": UNCONNECTED,
        "test_no_field_of_a_mechanism_accepts_control_characters": UNCONNECTED,
        "test_a_space_in_a_word_is_refused": UNCONNECTED,
    },
)
