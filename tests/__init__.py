"""The tests mirror the package: `tests/pop3/test_protocol.py` tests `pymailbox/pop3/protocol.py`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: The checkout.
ROOT = Path(__file__).resolve().parent.parent
#: Test data next to the checkout; used if it exists.
SHARED = ROOT.parent / "shared"


@contextmanager
def case(*named: object) -> Iterator[None]:
    """Add the case to any exception in the block, for a test that loops over many."""
    try:
        yield
    except BaseException as error:
        error.add_note("case: " + ", ".join(map(repr, named)))
        raise
