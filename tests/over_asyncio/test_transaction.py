"""delete, undelete, commit, rollback and close against a model, over asyncio."""

from tests.mailbox import test_transaction as suite
from tests.over_asyncio import adopt

adopt(suite, globals())
