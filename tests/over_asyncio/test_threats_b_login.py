"""Authentication and TLS against hostile servers, over asyncio."""

from tests import test_threats_b_login as suite
from tests.over_asyncio import adopt

SAME = "it is about what both drivers share"

adopt(suite, globals(), {"test_no_name_matching_of_our_own": SAME, "test_tls_is_not_compressed": SAME})
