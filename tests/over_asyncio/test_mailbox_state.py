"""delete, undelete, rollback and commit against a model, over asyncio."""

from tests import test_mailbox_state as suite
from tests.over_asyncio import adopt

adopt(suite, globals())
