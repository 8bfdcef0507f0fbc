"""Each quirk of real servers that the protocol can encounter is handled (docs/servers.md).

The embedded server has most of them. A quirk that the client notices is in `connection.quirks` under the name of its
`Quirk`. Quirks that only the mailbox, the login or the content can encounter are tested with those.
"""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import pytest

from pymailbox.errors import (
    AuthenticationError,
    CommandError,
    ConnectionLost,
    MailboxError,
    MessageUnavailable,
    NotSupported,
    ProtocolError,
    TemporaryFailure,
    Timeout,
)
from pymailbox.pop3 import Capabilities, Connection, Stat, commands
from pymailbox.pop3.limits import Limits
from pymailbox.testing import Quirk, Server
from tests.replay import connected
from tests.timing import GENEROUS, hurry

MAILS = [b"Subject: %d\r\n\r\n.dotted\r\nbody\r\n" % number for number in range(1, 5)]


@contextlib.contextmanager
def opened(quirks: Quirk, mails: list[bytes] | None = None, **options: Any) -> Iterator[Connection]:
    """Open a connection to a server with quirks, without logging in."""
    server = Server(MAILS if mails is None else mails, quirks=quirks)
    with server, Connection(server.host, server.port, **({"security": "none", "timeout": GENEROUS} | options)) as pop:
        yield pop


@contextlib.contextmanager
def entered(quirks: Quirk, mails: list[bytes] | None = None, **options: Any) -> Iterator[Connection]:
    """Open a connection to a server with quirks, and log in."""
    with opened(quirks, mails, **options) as pop:
        pop.user("me")
        pop.pass_("secret")
        yield pop


def read_all(pop: Connection) -> None:
    """Read everything in every way, and check it."""
    assert pop.stat().count == 4
    assert pop.list() == {number: len(mail) for number, mail in enumerate(MAILS, 1)}
    assert len(pop.uidl()) == 4
    for number, mail in enumerate(MAILS, 1):
        assert pop.retr(number) == mail
        assert pop.top(number, 0) == mail.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert list(pop.pipeline(map(commands.retr, range(1, 5)))) == MAILS
    pop.dele(1)
    pop.rset()
    pop.quit()


# --- status lines and greeting ---------------------------------------------------------------------------------------


def test_bare_status() -> None:
    """`+OK` and `-ERR` without text are accepted."""
    with entered(Quirk.BARE_STATUS) as pop:
        with pytest.raises(MessageUnavailable) as caught:
            pop.retr(99)
        assert caught.value.response is None
        read_all(pop)


def test_glued_status() -> None:
    """`+OKready` is not +OK."""
    with pytest.raises(ProtocolError), opened(Quirk.GLUED_STATUS):
        pass


def test_lowercase_status() -> None:
    """`+ok` and `-err` are accepted and noted."""
    with entered(Quirk.LOWERCASE_STATUS) as pop:
        assert "LOWERCASE_STATUS" in pop.quirks
        read_all(pop)


@pytest.mark.threat(6)
def test_plus_err_on_pass() -> None:
    """`+ERR` is not a success: the session ends, and nothing more is sent."""
    with opened(Quirk.PLUS_ERR_ON_PASS) as pop:
        pop.user("me")
        with pytest.raises(ProtocolError) as caught:
            pop.pass_("wrong")
        assert caught.value.command == "PASS ***"
        with pytest.raises(ConnectionLost):
            pop.stat()


@pytest.mark.threat(61)
def test_empty_line_for_a_status() -> None:
    """An empty line instead of a status line is a `ProtocolError` with the command."""
    with entered(Quirk.EMPTY_LINE_FOR_DELE) as pop, pytest.raises(ProtocolError) as caught:
        pop.dele(1)
    assert caught.value.command == "DELE 1"


def test_two_status_lines() -> None:
    """A second `+OK` line becomes part of the body, and later replies do not shift."""
    with entered(Quirk.TWO_STATUS_LINES_FOR_TOP) as pop:
        assert pop.top(1, 0) == b"+OK top follows\r\nSubject: 1\r\n\r\n"
        assert pop.stat().count == 4


def test_no_timestamp_for_apop() -> None:
    """APOP is sent only if the timestamp is valid; a refusal is an `AuthenticationError`."""
    with opened(Quirk.FAKE_TIMESTAMP) as pop, pytest.raises(NotSupported):
        pop.apop("me", "secret")
    with opened(Quirk.REFUSES_APOP) as pop, pytest.raises(AuthenticationError):
        pop.apop("me", "secret")


@pytest.mark.parametrize(("quirk", "name"), [(Quirk.GREETS_AS_IMAP, "IMAP"), (Quirk.GREETS_WITH_TLS, "TLS")])
@pytest.mark.threat(7)
def test_another_service(quirk: Quirk, name: str) -> None:
    """The error for a service other than POP3 names it."""
    with pytest.raises(MailboxError, match=name), opened(quirk):
        pass


@pytest.mark.threat(8)
def test_greeting_of_err() -> None:
    """A greeting of -ERR has a typed error, which is retryable."""
    with pytest.raises(TemporaryFailure) as caught, opened(Quirk.REFUSES_SERVICE):
        pass
    assert caught.value.code == "SYS/TEMP"
    assert caught.value.retryable


def test_whole_commands() -> None:
    """Each command is sent in one piece, ends in CRLF, and has no trailing space."""
    with entered(Quirk.NEEDS_WHOLE_COMMANDS | Quirk.NEEDS_CRLF | Quirk.REFUSES_TRAILING_SPACE) as pop:
        read_all(pop)


# --- CAPA and STLS -----------------------------------------------------------------------------------------------------


def test_no_capa() -> None:
    """A server without CAPA works."""
    with entered(Quirk.NO_CAPA) as pop:
        with pytest.raises(NotSupported):
            pop.capa()
        read_all(pop)


def test_capa_that_closes_or_hangs() -> None:
    """If the server closes the connection on CAPA, or hangs, there is a typed error; `capa=False` does not send it."""
    with opened(Quirk.CLOSES_ON_CAPA) as pop, pytest.raises(ConnectionLost):
        pop.capa()
    with opened(Quirk.HANGS_ON_CAPA) as pop:
        hurry(pop)
        with pytest.raises(Timeout):
            pop.capa()
    with entered(Quirk.CLOSES_ON_CAPA, capa=False) as pop:
        read_all(pop)


def test_capabilities_change_at_login() -> None:
    """CAPA can be asked again after the login, with a different reply."""
    with opened(Quirk.SHORT_CAPA_BEFORE_LOGIN) as pop:
        assert "UIDL" not in pop.capa()
        pop.user("me")
        pop.pass_("secret")
        assert "UIDL" in pop.capa()


def test_no_capa_after_login() -> None:
    """If CAPA is refused after the login, nothing is pipelined, as such servers hang up on pipelines."""
    with opened(Quirk.NO_CAPA_AFTER_LOGIN | Quirk.HANGS_UP_ON_PIPELINE) as pop:
        pop.capa()
        assert pop.session.protocol.pipelining
        pop.user("me")
        pop.pass_("secret")
        assert list(pop.pipeline(map(commands.retr, range(1, 5)))) == MAILS


@pytest.mark.threat(55)
def test_hangs_up_on_a_pipeline() -> None:
    """A server that advertises PIPELINING but hangs up on it is noted, and the next session does not pipeline."""
    with entered(Quirk.HANGS_UP_ON_PIPELINE) as pop:
        with pytest.raises(ConnectionLost):
            next(pop.pipeline(map(commands.retr, range(1, 5))))
        assert "HANGS_UP_ON_PIPELINE" in pop.quirks
        assert not pop.session.may_pipeline


@pytest.mark.parametrize("quirk", [Quirk.UIDL_UNLISTED, Quirk.TOP_UNLISTED])
def test_works_unlisted(quirk: Quirk) -> None:
    """UIDL and TOP are tried although they are not advertised."""
    with entered(quirk) as pop:
        assert quirk.name
        assert quirk.name.partition("_")[0] not in pop.capa()
        read_all(pop)


@pytest.mark.threat(52)
@pytest.mark.threat(81)
def test_listed_and_refused() -> None:
    """If UIDL and TOP are advertised but refused, everything else works."""
    with entered(Quirk.UIDL_REFUSED | Quirk.TOP_REFUSED) as pop:
        for ask in (pop.uidl, lambda: pop.top(1, 0)):
            with pytest.raises(CommandError) as caught:
                ask()
            assert caught.value.usable
        assert len(pop.list()) == 4
        assert pop.retr(1) == MAILS[0]


@pytest.mark.threat(83)
def test_odd_capabilities() -> None:
    """Blank lines, non-ASCII bytes and unknown names are read."""
    with opened(Quirk.MALFORMED_CAPA) as pop:
        caps = pop.capa()
        assert caps["UTF8"] == ("USER",)
        assert caps.implementation
        assert "RESP-CODE" in caps
        assert "LAST" in caps


@pytest.mark.threat(70)
def test_endless_capa() -> None:
    """An endless listing of capabilities is cut off by `Limits.header`."""
    with opened(Quirk.ENDLESS_CAPA) as pop, pytest.raises(MailboxError, match=r"Limits\.header"):
        pop.capa()


@pytest.mark.parametrize(
    "quirk", [Quirk.STLS_REFUSED, Quirk.STLS_HANDSHAKE_FAILS, Quirk.PLAINTEXT_AFTER_STLS], ids=lambda quirk: quirk.name
)
@pytest.mark.threat(16)
@pytest.mark.threat(21)
def test_stls_that_fails(quirk: Quirk) -> None:
    """With security="starttls" TLS is required: nothing is sent without it, and plaintext after the +OK is refused."""
    with Server(MAILS, security="starttls", quirks=quirk) as server:
        context = server.client_context()
        pop = Connection("localhost", server.port, security="starttls", ssl_context=context, timeout=GENEROUS)
        with pytest.raises(MailboxError) as caught:
            pop.open()
        assert not caught.value.usable
        server.wait(GENEROUS)
        assert all(line == "STLS" for line in server.log)


@pytest.mark.threat(18)
def test_quirk_answers_plaintext_in_tls() -> None:
    """Nothing is sent after STLS in plaintext, so the server cannot answer it inside TLS."""
    with Server(MAILS, security="starttls", quirks=Quirk.ANSWERS_PLAINTEXT_IN_TLS) as server:
        context = server.client_context()
        with Connection("localhost", server.port, security="starttls", ssl_context=context, timeout=GENEROUS) as pop:
            pop.user("me")
            pop.pass_("secret")
            read_all(pop)


@pytest.mark.threat(25)
def test_tls_at_the_wrong_port() -> None:
    """Plaintext on a port with TLS, and TLS on a plaintext port, are errors that mention TLS."""
    with Server(MAILS, security="tls") as server, socket.create_connection((server.host, server.port)) as sock:
        with pytest.raises(MailboxError) as silent:
            Connection("localhost", server.port, security="none", sock=sock, timeout=0.3).open()
        assert "TLS" in str(silent.value)
    context = ssl.create_default_context()
    with Server(MAILS) as server, pytest.raises(MailboxError) as refused:
        Connection("localhost", server.port, security="tls", ssl_context=context, timeout=GENEROUS).open()
    assert "TLS" in str(refused.value)


# --- login: the rest of PASS -------------------------------------------------------------------------------------------


def test_passwords_are_the_rest_of_the_line() -> None:
    """Spaces and non-ASCII letters are part of the password."""
    password = " two  blanks and ümlaut "
    with Server(MAILS, password=password) as server, Connection(server.host, server.port, security="none") as pop:
        pop.user("me")
        pop.pass_(password)
        read_all(pop)


def test_quirk_loses_what_follows_pass() -> None:
    """Nothing is sent after PASS until the reply has arrived."""
    with opened(Quirk.LOSES_WHAT_FOLLOWS_PASS) as pop:
        script = [commands.user("me"), commands.pass_("secret"), commands.stat(), commands.noop()]
        results = list(pop.pipeline(script))
    assert isinstance(results[2], Stat)


# --- STAT and LIST ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "quirk", [Quirk.NEGATIVE_STAT_SIZE, Quirk.STAT_WITHOUT_SIZE, Quirk.STAT_SIZE_IN_WORDS], ids=lambda quirk: quirk.name
)
@pytest.mark.threat(67)
def test_stat_without_a_size(quirk: Quirk) -> None:
    """A size that is not a number is unknown; the count is used."""
    with entered(quirk) as pop:
        assert pop.stat() == Stat(4, None)
        assert pop.quirks == {quirk.name}


def test_empty_list_refused() -> None:
    """A LIST that is refused because the mailbox is empty leaves the session usable."""
    with entered(Quirk.EMPTY_LIST_REFUSED, []) as pop:
        with pytest.raises(CommandError):
            pop.list()
        assert pop.stat() == Stat(0, 0)


@pytest.mark.parametrize(
    ("quirk", "known"),
    [
        (Quirk.LIST_WITHOUT_SIZE, {2, 4}),
        (Quirk.LIST_JUNK_SIZE, {2, 4}),
        (Quirk.LIST_EXTRA_FIELDS, {1, 2, 3, 4}),
        (Quirk.LIST_EXTRA_SPACES, {1, 2, 3, 4}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_odd_sizes(quirk: Quirk, known: set[int]) -> None:
    """An odd line of LIST makes at most the size of its message unknown."""
    with entered(quirk) as pop:
        sizes = pop.list()
        assert set(sizes) == {1, 2, 3, 4}
        assert {number for number, size in sizes.items() if size == len(MAILS[number - 1])} == known
        assert all(size is None for number, size in sizes.items() if number not in known)
        assert quirk.name in pop.quirks


@pytest.mark.threat(48)
def test_sizes_lie() -> None:
    """A size is only a hint: the message ends at its end mark and nowhere else."""
    with entered(Quirk.ROUNDED_SIZES) as pop:
        assert pop.list(1) == 1024
        assert pop.retr(1) == MAILS[0]


@pytest.mark.threat(71)
def test_counts_differ() -> None:
    """LIST and UIDL may have more messages than STAT counts."""
    with entered(Quirk.STAT_COUNTS_LESS) as pop:
        assert (pop.stat().count, len(pop.list()), len(pop.uidl())) == (3, 4, 4)


def test_gaps_in_numbers() -> None:
    """Deleted messages leave gaps in the listings of the same session."""
    with entered(Quirk(0)) as pop:
        pop.dele(2)
        assert list(pop.list()) == [1, 3, 4]
        assert list(pop.uidl()) == [1, 3, 4]


@pytest.mark.parametrize(
    "quirk", [Quirk.SINGLE_LISTING_MULTILINE, Quirk.SINGLE_LISTING_WITHOUT_NUMBER], ids=lambda quirk: quirk.name
)
def test_odd_single_listings(quirk: Quirk) -> None:
    """A reply to `LIST n` that is not about message n is a `ProtocolError`; the whole listing works."""
    with entered(quirk) as pop, pytest.raises(ProtocolError):
        pop.list(3)
    with entered(quirk) as pop:
        assert len(pop.list()) == len(pop.uidl()) == 4


@pytest.mark.parametrize("count", [15_000, pytest.param(300_000, marks=pytest.mark.slow)])
def test_huge_mailbox(count: int) -> None:
    """A listing of very many lines is read completely."""
    body = b"".join(b"%d %d\r\n" % (number, number) for number in range(1, count + 1))
    with connected((b"LIST\r\n", b"+OK\r\n" + body + b".\r\n")) as (pop, _):
        assert pop.list() == {number: number for number in range(1, count + 1)}


# --- UIDL ---------------------------------------------------------------------------------------------------------------


def uids(quirk: Quirk) -> tuple[dict[int, str | None], frozenset[str]]:
    with entered(quirk) as pop:
        found = pop.uidl()
        assert pop.noop()
        return found, pop.quirks


def honest() -> dict[int, str | None]:
    return uids(Quirk(0))[0]


def test_spaces_before_uid() -> None:
    """Several spaces between number and uid count as one."""
    found, noted = uids(Quirk.SPACES_BEFORE_UID)
    assert found == honest()
    assert noted == {"SPACES_BEFORE_UID"}


def test_ok_prefix_on_uidl() -> None:
    """`+OK` at the start of each line of UIDL is removed."""
    found, noted = uids(Quirk.OK_PREFIX_ON_UIDL)
    assert found == honest()
    assert noted == {"OK_PREFIX_ON_UIDL"}


@pytest.mark.threat(73)
def test_blank_uid() -> None:
    """A blank uid is None for that message."""
    found, noted = uids(Quirk.BLANK_UID)
    assert [number for number, uid in found.items() if uid is None] == [1, 3]
    assert noted == {"BLANK_UID"}


@pytest.mark.threat(75)
def test_duplicate_uids() -> None:
    """Messages with the same uid are all listed."""
    found, _ = uids(Quirk.DUPLICATE_UIDS)
    assert len(found) == 4
    assert len(set(found.values())) == 1


@pytest.mark.threat(76)
def test_quirk_odd_uids() -> None:
    """Long uids, spaces inside and non-ASCII bytes are kept."""
    found, _ = uids(Quirk.INVALID_UIDS)
    assert len(found) == 4
    assert any(uid and " " in uid for uid in found.values())
    assert any(uid and len(uid) == 200 for uid in found.values())
    assert any(uid and "\udcfc" in uid for uid in found.values())


def test_uids_as_paths() -> None:
    """A uid that looks like a path is a uid."""
    assert uids(Quirk.UIDS_AS_PATHS)[0][1] == "../../1/etc"


def test_lines_lost_and_blank() -> None:
    """A lost line end makes one uid unknown; a blank line changes nothing."""
    found, _ = uids(Quirk.MERGED_UIDL_LINES)
    assert set(found) == {1, 3, 4}
    found, noted = uids(Quirk.BLANK_LINE_IN_LISTING)
    assert found == honest()
    assert noted == {"BLANK_LINE_IN_LISTING"}


@pytest.mark.threat(71)
def test_unordered_uidl() -> None:
    """The order of the lines does not matter, as each has its message number."""
    found, noted = uids(Quirk.UNORDERED_UIDL)
    assert found == honest()
    assert noted == {"UNORDERED_UIDL"}


@pytest.mark.threat(71)
def test_unknown_numbers_in_uidl() -> None:
    """Message 0 is skipped and noted; a number beyond the count is left to the mailbox."""
    found, noted = uids(Quirk.UNKNOWN_NUMBER_IN_UIDL)
    assert set(found) == {1, 2, 3, 4, 11}
    assert noted == {"UNKNOWN_NUMBER_IN_UIDL"}


# --- RETR and TOP ---------------------------------------------------------------------------------------------------------


@pytest.mark.threat(10)
def test_lf_lines() -> None:
    """If all lines of the server end in LF, it is read, and messages are exactly what was sent."""
    with entered(Quirk.LF_LINES, [*MAILS, b"Subject: x\r\n\r\n.\r\nbody\r\n"]) as pop:
        assert pop.retr(1) == MAILS[0].replace(b"\r\n", b"\n")
        assert pop.retr(5) == b"Subject: x\n\n.\nbody\n"
        assert list(pop.list()) == [1, 2, 3, 4, 5]
        assert pop.quirks == {"LF_LINES"}


@pytest.mark.parametrize("quirk", [Quirk.LF_END, Quirk.NO_NEWLINE_BEFORE_END], ids=lambda quirk: quirk.name)
@pytest.mark.threat(46)
def test_no_end_mark(quirk: Quirk) -> None:
    """If CRLF . CRLF never arrives, the timeout says that the end of a body is missing."""
    with entered(quirk, limits=Limits(minimum_rate=1)) as pop:
        hurry(pop)
        with pytest.raises(Timeout, match="the end of a body"):
            pop.retr(1)


def test_unstuffed_dot_alone() -> None:
    """A line of one unstuffed dot ends the message early; the rest is not a valid reply and ends the session."""
    with (
        entered(Quirk.UNSTUFFED_DOTS, [b"Subject: x\r\n\r\nbefore\r\n.\r\nafter\r\n"]) as pop,
        pytest.raises(ProtocolError),
    ):
        pop.retr(1)


def test_unstuffed_dots() -> None:
    """A line that begins with one dot loses it, according to RFC 1939 §3."""
    with entered(Quirk.UNSTUFFED_DOTS) as pop:
        assert pop.retr(1) == MAILS[0].replace(b".dotted", b"dotted")


@pytest.mark.parametrize(
    ("quirk", "top"),
    [
        (Quirk.TOP_TEN_LINES, MAILS[0]),
        (Quirk.TOP_ONE_LINE, b"Subject: 1\r\n"),
        (Quirk.TOP_IGNORES_COUNT, MAILS[0]),
        (Quirk.TOP_TRUNCATED, b"Subject: 1\r\n\r\n"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
@pytest.mark.threat(52)
def test_odd_top(quirk: Quirk, top: bytes) -> None:
    """`top` returns exactly what the server sends."""
    with entered(quirk) as pop:
        assert pop.top(1, 0) == top
        assert pop.retr(1) == MAILS[0]


@pytest.mark.threat(80)
def test_one_message_refused() -> None:
    """-ERR for one message affects only that message."""
    with entered(Quirk.ONE_UNREADABLE) as pop:
        first, *others = pop.pipeline(map(commands.retr, range(1, 5)))
        assert isinstance(first, MessageUnavailable)
        assert others == MAILS[1:]
        assert pop.quit()


def test_extra_blank_line() -> None:
    """Messages are never repaired: a blank line too many is part of the message."""
    with entered(Quirk.EXTRA_BLANK_LINE) as pop:
        assert pop.retr(1) == MAILS[0] + b"\r\n"


@pytest.mark.threat(38)
def test_long_lines() -> None:
    """A line of 300 kB is read like any other."""
    mail = b"Subject: " + b"x" * 300_000 + b"\r\n\r\n"
    with entered(Quirk(0), [mail]) as pop:
        assert pop.retr(1) == mail


def test_closed_at_dele() -> None:
    """If the server hangs up on DELE after a large message, the error is `ConnectionLost` with the command."""
    with entered(Quirk.CLOSES_ON_DELE_AFTER_LARGE_RETR, [b"x" * 1_100_000 + b"\r\n"]) as pop:
        pop.retr(1)
        with pytest.raises(ConnectionLost) as caught:
            pop.dele(1)
        assert caught.value.command == "DELE 1"


# --- QUIT ----------------------------------------------------------------------------------------------------------------


def test_quit_without_a_reply() -> None:
    """A QUIT without a reply is `ConnectionLost`; the socket is closed anyway."""
    with entered(Quirk.QUIT_WITHOUT_REPLY) as pop, pytest.raises(ConnectionLost):
        pop.quit()


def test_quit_without_close_notify() -> None:
    """After the +OK to QUIT, the end of TLS without close_notify is not an error."""
    with Server(MAILS, security="tls", quirks=Quirk.QUIT_WITHOUT_CLOSE_NOTIFY) as server:
        context = server.client_context()
        with Connection("localhost", server.port, ssl_context=context, timeout=GENEROUS) as pop:
            pop.user("me")
            pop.pass_("secret")
            assert pop.quit()


# --- harmless quirks together -----------------------------------------------------------------------------------------------


def test_quirks_together() -> None:
    """Quirks that are harmless on their own are harmless together."""
    quirks = (
        Quirk.BARE_STATUS
        | Quirk.LOWERCASE_STATUS
        | Quirk.NEEDS_WHOLE_COMMANDS
        | Quirk.NEEDS_CRLF
        | Quirk.REFUSES_TRAILING_SPACE
        | Quirk.MALFORMED_CAPA
        | Quirk.LIST_EXTRA_FIELDS
        | Quirk.SPACES_BEFORE_UID
        | Quirk.OK_PREFIX_ON_UIDL
        | Quirk.BLANK_LINE_IN_LISTING
        | Quirk.UNORDERED_UIDL
        | Quirk.STOPS_READING
    )
    with entered(quirks) as pop:
        assert isinstance(pop.capa(), Capabilities)
        read_all(pop)
        assert pop.quirks >= {"LOWERCASE_STATUS", "SPACES_BEFORE_UID", "OK_PREFIX_ON_UIDL", "LIST_EXTRA_FIELDS"}


def test_names_of_quirks() -> None:
    """A quirk that both sides know has the same name in the client and in the test server."""
    ours = {
        "LF_LINES",
        "LOWERCASE_STATUS",
        "NEGATIVE_STAT_SIZE",
        "STAT_WITHOUT_SIZE",
        "STAT_SIZE_IN_WORDS",
        "LIST_WITHOUT_SIZE",
        "LIST_JUNK_SIZE",
        "LIST_EXTRA_FIELDS",
        "LIST_EXTRA_SPACES",
        "BLANK_LINE_IN_LISTING",
        "OK_PREFIX_ON_UIDL",
        "SPACES_BEFORE_UID",
        "BLANK_UID",
        "UNORDERED_UIDL",
        "UNKNOWN_NUMBER_IN_UIDL",
        "DROPS_PIPELINED",
        "HANGS_UP_ON_PIPELINE",
    }
    assert ours <= set(Quirk.__members__)
