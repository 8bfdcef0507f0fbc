"""ConnectionSettings is one value, checked when it is created, that shows no secret."""

import inspect

import pytest
from attrs import evolve, exceptions, fields

from pymailbox import Account, Limits, Mailbox
from pymailbox.pop3 import AsyncConnection, Connection
from pymailbox.pop3.settings import ConnectionSettings
from pymailbox.testing import Server

HIDDEN = "hidden-word"
PROXY = f"socks5://me:{HIDDEN}@127.0.0.1:1080"


def test_the_fields_are_the_arguments_of_a_connection() -> None:
    """Everything that can be passed to a connection is a field."""
    for kind in (Connection, AsyncConnection):
        assert {field.name for field in fields(ConnectionSettings)} == set(inspect.signature(kind).parameters)


def test_a_connection_from_settings_equals_one_from_arguments() -> None:
    """`from_settings` and the constructor give the same attributes and `repr`."""
    settings = ConnectionSettings(host="localhost", port=110, security="none", timeout=5, limits=None)
    made, other = Connection.from_settings(settings), Connection("localhost", security="none", timeout=5)
    for pop in (made, other):
        assert (pop.host, pop.port, pop.security, pop.timeout, pop.limits) == ("localhost", 110, "none", 5.0, Limits())
    assert repr(made) == repr(other)


def test_settings_are_frozen_and_a_changed_copy_is_checked() -> None:
    """`evolve` runs the same checks as the constructor."""
    settings = ConnectionSettings(host="localhost", port=995)
    with pytest.raises(exceptions.FrozenInstanceError):
        settings.pipelining = False  # type: ignore[misc]
    assert evolve(settings, pipelining=False).pipelining is False
    with pytest.raises(ValueError, match="timeout must be above 0"):
        evolve(settings, timeout=0)


def test_no_secret_is_shown() -> None:
    """A proxy's password is not in the repr of the settings, a connection or a mailbox."""
    pytest.importorskip("python_socks")
    settings = ConnectionSettings(host="localhost", port=995, proxy=PROXY)
    mailbox = Mailbox.from_account(Account("localhost", "me", HIDDEN), proxy=PROXY)
    for shown in (settings, settings.proxy, Connection.from_settings(settings), mailbox, mailbox._settings):
        assert HIDDEN not in repr(shown)


def test_the_settings_outlive_a_session() -> None:
    """Each session of a mailbox uses the same value."""
    with Server([b"Subject: one\r\n\r\n1\r\n"]) as server, Mailbox.from_url(server.url, "secret", timeout=9) as inbox:
        settings = inbox._settings
        inbox.reopen()
        assert inbox._settings is settings
        assert inbox.connection.timeout == 9.0
