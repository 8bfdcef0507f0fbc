"""The tests mirror the package: `tests/pop3/test_protocol.py` proves `pymailbox/pop3/protocol.py`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: The checkout.
ROOT = Path(__file__).resolve().parent.parent
#: What lies beside it on some machines, and is used where it is there.
SHARED = ROOT.parent / "shared"


@contextmanager
def case(*named: object) -> Iterator[None]:
    """Name the case in whatever fails inside the block, for a test that goes through many."""
    try:
        yield
    except BaseException as error:
        error.add_note("case: " + ", ".join(map(repr, named)))
        raise
