"""No byte of an argument becomes a command over asyncio, either."""

from tests.over_asyncio import adopt
from tests.pop3 import test_login_injection as suite

UNCONNECTED = "it does not connect"

adopt(
    suite,
    globals(),
    {
        "test_every_octet_in_every_argument_of_a_command": UNCONNECTED,
        "test_every_octet_in_every_field_of_a_mechanism": UNCONNECTED,
        "test_a_blank_is_not_part_of_a_word": UNCONNECTED,
    },
)
