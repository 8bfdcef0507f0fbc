"""No byte value in any string argument can inject a command; for forbidden bytes nothing is sent."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pymailbox import Account, Mailbox, OAuth2
from pymailbox.errors import MailboxError
from pymailbox.pop3 import Connection, commands, sasl
from pymailbox.testing import Server
from tests import case
from tests.timing import GENEROUS

FORBIDDEN = frozenset([*range(0x20), 0x7F])

#: The arguments that become part of a command, each as a function from the argument to the line.
COMMANDS: dict[str, Callable[[str], bytes]] = {
    "USER": lambda text: commands.user(text).line,
    "PASS": lambda text: commands.pass_(text).line,
    "RPOP": lambda text: commands.rpop(text).line,
    "APOP's user": lambda text: commands.apop(text, "s3cret", b"<a@b>").line,
    "APOP's secret": lambda text: commands.apop("me", text, b"<a@b>").line,
    "LANG": lambda text: commands.lang(text).line,
    "AUTH": lambda text: commands.auth(text).line,
}
#: The arguments that are one word: a space would begin the next argument.
WORDS = {"APOP's user", "LANG", "AUTH"}
MECHANISMS: dict[str, Callable[[str], Any]] = {
    "PLAIN's user": lambda text: sasl.Plain(text, "x"),
    "PLAIN's password": lambda text: sasl.Plain("x", text),
    "PLAIN's authorization": lambda text: sasl.Plain("x", "x", text),
    "LOGIN's user": lambda text: sasl.Login(text, "x"),
    "LOGIN's password": lambda text: sasl.Login("x", text),
    "CRAM-MD5's user": lambda text: sasl.CramMD5(text, "x"),
    "CRAM-MD5's password": lambda text: sasl.CramMD5("x", text),
    "SCRAM's user": lambda text: sasl.Scram(text, "x"),
    "SCRAM's password": lambda text: sasl.Scram("x", text),
    "EXTERNAL's user": lambda text: sasl.External(text),
    "ANONYMOUS's trace": lambda text: sasl.Anonymous(text),
    "XOAUTH2's user": lambda text: sasl.XOAuth2(text, "x"),
    "XOAUTH2's token": lambda text: sasl.XOAuth2("x", text),
    "OAUTHBEARER's user": lambda text: sasl.OAuthBearer(text, "x"),
    "OAUTHBEARER's token": lambda text: sasl.OAuthBearer("x", text),
    "GSSAPI's user": lambda text: sasl.GSSAPI(text),
}


def forms(byte: int) -> Iterator[str]:
    """Return texts with this character: alone, first, last, in the middle, between umlauts."""
    character = chr(byte)
    yield from (character, f"{character}x", f"x{character}", f"x{character}y", f"ä{character}ö")


@pytest.mark.threat(14)
def test_no_argument_of_a_command_accepts_control_characters() -> None:
    """C0 and DEL are ValueError; with any other character the line has one CRLF, at its end."""
    for where, byte in itertools.product(COMMANDS, range(256)):
        for text in forms(byte):
            with case(where, text):
                if byte in FORBIDDEN:
                    with pytest.raises(ValueError) as caught:
                        COMMANDS[where](text)
                    assert repr(text) not in str(caught.value)
                elif not (byte == 0x20 and where in WORDS):
                    line = COMMANDS[where](text)
                    assert not FORBIDDEN & set(line[:-2])
                    assert line.endswith(b"\r\n")


@pytest.mark.threat(14)
def test_no_field_of_a_mechanism_accepts_control_characters() -> None:
    """Base64 hides a control character from the line but not from the server: C0 and DEL are ValueError."""
    for where, byte in itertools.product(MECHANISMS, range(256)):
        for text in forms(byte):
            with case(where, text):
                if byte in FORBIDDEN:
                    with pytest.raises(ValueError):
                        MECHANISMS[where](text)
                else:
                    MECHANISMS[where](text)


@pytest.mark.threat(14)
def test_no_password_of_bytes_may_contain_control_characters() -> None:
    """As in text, C0 and DEL are ValueError, without showing the password; all other bytes are sent unchanged."""
    takers: dict[str, Callable[[bytes], object]] = {
        "PASS": lambda data: commands.pass_(data).line,
        "APOP": lambda data: commands.apop("me", data, b"<a@b>").line,
        "PLAIN": lambda data: sasl.Plain("x", data),
        "LOGIN": lambda data: sasl.Login("x", data),
        "CRAM-MD5": lambda data: sasl.CramMD5("x", data),
        "SCRAM": lambda data: sasl.Scram("x", data),
        "Account": lambda data: Account("h", "x", data),
        "Mailbox": lambda data: Mailbox("h", "x", data),
    }
    for where, byte in itertools.product(takers, range(256)):
        for data in (bytes((byte,)), b"sEcr\xe4t" + bytes((byte,)), bytes((byte,)) + b"sEcr\xe4t"):
            with case(where, data):
                if byte not in FORBIDDEN:
                    takers[where](data)
                    continue
                with pytest.raises(ValueError) as caught:
                    takers[where](data)
                assert "sEcr" not in f"{caught.value!r}"
    assert commands.pass_(b"a b\xff").line == b"PASS a b\xff\r\n"


def test_a_space_in_a_word_is_refused() -> None:
    """A space that would begin another argument is ValueError."""
    for where in WORDS:
        for text in forms(0x20):
            with case(where, text), pytest.raises(ValueError):
                COMMANDS[where](text)


@pytest.mark.threat(15)
def test_a_line_end_in_another_encoding_is_an_ordinary_character() -> None:
    """CVE-2025-7962: the encoded bytes are checked, and the UTF-8 of U+760D and U+760A contains no CR or LF."""
    texts = ("用户名\u760d\u760a", "\u0d0a", "\uff0d\uff0a", "\u2028", "\x85", "me\u760d\u760aDELE 1")
    with Server(users=dict.fromkeys(texts, "secret"), sasl=()) as server:
        for text in texts:
            with case(text):
                line = commands.user(text).line
                assert line.count(b"\r") == line.count(b"\n") == 1
                with Mailbox(server.host, text, "secret", port=server.port, security="none"):
                    pass
                assert server.sessions[-1].commands.count(f"USER {text}") == 1
                assert "DELE 1" not in server.sessions[-1].commands


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that records what it receives."""
    sasl_names = ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER")
    with Server(sasl=sasl_names, apop=True, log_secrets=True) as running:
        yield running


@pytest.mark.threat(14)
def test_nothing_is_sent_for_a_forbidden_byte(server: Server) -> None:
    """This holds for the user, the password and the result of a callable; the session stays usable."""
    for way in ("USER", "APOP", "PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER"):
        with Connection(server.host, server.port, security="none", timeout=GENEROUS) as pop:
            pop.capa()
            record = server.sessions[-1]
            for byte in sorted(FORBIDDEN):
                text = f"x{chr(byte)}y"
                attempts: list[tuple[str, Any]] = [("me", text), ("me", lambda text=text: text), (text, "secret")]
                for user, password in attempts:
                    with case(way, byte, user, password), pytest.raises(ValueError):
                        pop.login(user, password, way)
            pop.quit()
        assert [line for line in record.commands if line not in ("CAPA", "QUIT")] == [], way


@pytest.mark.threat(14)
def test_a_mailbox_does_not_even_connect(server: Server) -> None:
    """A user, password or token with a forbidden character is ValueError in the constructor."""
    before = len(server.sessions)
    for byte in sorted(FORBIDDEN):
        text = f"x{chr(byte)}y"
        makers: list[Callable[[], object]] = [
            lambda text=text: Mailbox(server.host, "me", text, port=server.port, security="none"),
            lambda text=text: Mailbox(server.host, text, "secret", port=server.port, security="none"),
            lambda text=text: Mailbox(server.host, "me", auth=OAuth2(text), port=server.port, security="none"),
            lambda text=text: Account.from_env(environment={"PYMAILBOX_HOST": "h", "PYMAILBOX_PASSWORD": text}),
        ]
        for number, make in enumerate(makers):
            with case(byte, number), pytest.raises(ValueError):
                make()
    assert len(server.sessions) == before


def test_every_other_character_works_in_a_password() -> None:
    """Q30: spaces and 8-bit characters are part of a password in any position: no valid login is refused."""
    users = {f"user{byte}": f"{chr(byte)}a{chr(byte)}" for byte in sorted(set(range(256)) - FORBIDDEN)}
    with Server(users=users, sasl=("PLAIN",), lock=False) as server:
        for user, password in users.items():
            for way in ("USER", "PLAIN"):
                with (
                    case(password, way),
                    Connection(server.host, server.port, security="none", timeout=GENEROUS) as pop,
                ):
                    pop.login(user, password, way)
                    pop.quit()
    assert [record.user for record in server.sessions] == [user for user in users for _ in range(2)]


@pytest.mark.threat(14)
def test_the_result_of_a_callable_is_checked_too(server: Server) -> None:
    """A token or password from a callable is held to the same rules as one passed directly."""
    with Connection(server.host, server.port, security="none", timeout=GENEROUS) as pop:
        pop.capa()
        record = server.sessions[-1]
        with pytest.raises(ValueError):
            pop.login("me", auth=OAuth2(lambda: "x\r\nDELE 1"))
        with pytest.raises((ValueError, MailboxError)):
            pop.login("me", lambda: "s3cret", "X\r\nDELE 1")
    late = Mailbox(server.host, "me", lambda: "x\r\nDELE 1", port=server.port, security="none", utf8=False)
    with pytest.raises(ValueError, match="control characters"):
        late.open()
    server.wait(GENEROUS)
    assert set(record.commands) == {"CAPA"}
    assert server.sessions[-1].commands == ("CAPA",)
    assert server.sessions[-1] is not record
