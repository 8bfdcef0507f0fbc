"""What goes out: no line can hold a second command, and none is shown with a secret in it."""

import pytest

from pymailbox.poplib.lines import checked, redacted
from tests import case


def test_control_characters_are_refused() -> None:
    """Every C0 character and DEL is ValueError, wherever it stands; the line is not shown."""
    for octet in (*range(0x20), 0x7F):
        for line in (b"%cUSER me", b"PASS se%ccret", b"RETR 1%c"):
            with (
                case(line % octet),
                pytest.raises(ValueError, match=r"^Control characters not allowed in commands$"),
            ):
                checked(line % octet)


def test_everything_else_passes() -> None:
    """All other octets are the caller's business."""
    line = bytes(octet for octet in range(256) if octet >= 0x20 and octet != 0x7F)
    assert checked(line) is line


def test_secrets_are_not_shown() -> None:
    """Only what is known to be harmless is shown with its arguments."""
    for line, shown in (
        (b"RETR 7", b"RETR 7"),
        (b"user me@example.com", b"user me@example.com"),
        (b"QUIT", b"QUIT"),
        (b"PASS secret", b"PASS ***"),
        (b"pass se cret", b"pass ***"),
        (b"APOP me c4c9334bac560ecc979e58001b3e22fb", b"APOP ***"),
        (b"AUTH PLAIN AG1lAHNlY3JldA==", b"AUTH ***"),
        (b"AUTH", b"AUTH"),
        (b"AG1lAHNlY3JldA==", b"***"),
        (b"XTND secret", b"***"),
        (b"", b"***"),
    ):
        assert redacted(line) == shown, line
