"""The tests mirror the package: `tests/pop3/test_protocol.py` proves `pymailbox/pop3/protocol.py`."""

from pathlib import Path

#: The checkout.
ROOT = Path(__file__).resolve().parent.parent
#: What lies beside it on some machines, and is used where it is there.
SHARED = ROOT.parent / "shared"
