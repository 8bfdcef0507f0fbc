"""Authentication and TLS withstand hostile servers over asyncio, too."""

from tests.over_asyncio import adopt
from tests.pop3 import test_hostile_logins as suite

SAME = "it tests code that both drivers share"

adopt(suite, globals(), {"test_no_module_matches_names_itself": SAME, "test_tls_is_not_compressed": SAME})
