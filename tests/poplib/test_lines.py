"""No command line can contain a second command, and none is shown with a secret in it."""

import pytest

from pymailbox.poplib.lines import checked, redacted
from tests import case


def test_control_characters_are_refused() -> None:
    """Every C0 character and DEL is ValueError, wherever it is; the error does not show the line."""
    for control in (*range(0x20), 0x7F):
        for line in (b"%cUSER me", b"PASS se%ccret", b"RETR 1%c"):
            with (
                case(line % control),
                pytest.raises(ValueError, match=r"^Control characters not allowed in commands$"),
            ):
                checked(line % control)


def test_everything_else_passes() -> None:
    """All other bytes are left to the program."""
    line = bytes(byte for byte in range(256) if byte >= 0x20 and byte != 0x7F)
    assert checked(line) is line


def test_secrets_are_not_shown() -> None:
    """Only commands that cannot contain a secret are shown with their arguments."""
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
