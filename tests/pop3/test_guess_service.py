"""Impostors: another service is named, from the first words it says (QUIRKS Q9)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.pop3.checks import guess_service


@pytest.mark.threat(7)
def test_who_it_seems_to_be() -> None:
    """The text names the service, and the port or option that is probably wrong."""
    for line, name in (
        (b"* OK [CAPABILITY IMAP4rev1] ready", "IMAP"),
        (b"* BYE too busy", "IMAP"),
        (b"HTTP/1.0 400 Bad Request", "HTTP"),
        (b"<!DOCTYPE html>", "HTTP"),
        (b"220 mail.example.com ESMTP", "SMTP"),
        (b"SSH-2.0-OpenSSH_9.6", "SSH"),
        (b"\x15\x03\x01\x00\x02\x02\x28", "TLS"),
        (b"\x16\x03\x01\x02\x00", "TLS"),
        (b"hello", "not a POP3 status"),
        (b"", "not a POP3 status"),
    ):
        assert name in guess_service(line), line


@given(st.binary(max_size=40))
def test_any_octets_have_an_answer(line: bytes) -> None:
    """No octets raise."""
    assert guess_service(line)
