"""A diagnosis finds what is right and wrong with servers of every kind, and changes nothing there.

The clock moves only while a server is silent on purpose, so no test depends on the machine's speed, and none waits.
"""

import ast
import datetime
import json
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
from attrs import define, evolve, field

import pymailbox
from pymailbox import Account, Diagnosis, Mailbox, OAuth2, PasswordFile, PasswordNetrc, diagnose
from pymailbox.diagnosis import run
from pymailbox.diagnosis.advice import advise
from pymailbox.diagnosis.quirks import MEANINGS
from pymailbox.diagnosis.report import Certificate, Encryption
from pymailbox.display import safe_text
from pymailbox.pop3 import Capabilities, Connection, scram, tls
from pymailbox.pop3.settings import ConnectionSettings
from pymailbox.testing import Fault, Quirk, Server
from pymailbox.testing.client_socket import ClientSocket
from pymailbox.testing.proxy import Proxy
from pymailbox.testing.quirky_lines import QuirkyLines
from pymailbox.testing.samples import SAMPLES
from tests import case
from tests.authority import DAY, Authority, server_context
from tests.pop3.test_proxy import Connect, proxy
from tests.servers import RealServer, trusting
from tests.testing.by_hand import settle
from tests.timing import GENEROUS, Clock

SECRET = "correct-Horse-battery-staple"
MAIL = b"From: a@example.org\r\nSubject: %d\r\n\r\nbody\r\nof some lines\r\n"
MAILS = [MAIL % number for number in range(5)]


@define(eq=False)
class SilentTime(Clock):
    """A clock that advances at each call while the latest connection is silent, and stands still otherwise."""

    connections: int = 0
    sockets: list[ClientSocket] = field(factory=list)
    is_silent: Callable[[ClientSocket], bool] = field(default=lambda socket: socket.out.stalled)

    def __call__(self) -> float:
        if self.connections == len(self.sockets) and self.sockets and self.is_silent(self.sockets[-1]):
            self.advance(0.5)
        return self.now


@pytest.fixture(autouse=True)
def silent_time(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> SilentTime:
    """Give every connection of a diagnosis this clock."""
    time = SilentTime()
    over, discard, lines = ClientSocket.over, ClientSocket.discard, QuirkyLines.lines
    lost: list[ClientSocket] = []  # sockets that discarded data
    silent: list[ClientSocket] = []  # and have answered everything else

    class Timed(Connection):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, clock=time, **options)

        @classmethod
        def from_settings(cls, settings: ConnectionSettings) -> Self:
            return super().from_settings(evolve(settings, clock=time))

        def connect(self) -> None:
            time.connections += 1
            super().connect()

    def noted(*args: Any, **options: Any) -> ClientSocket:
        time.sockets.append(over(*args, **options))
        return time.sockets[-1]

    def discarded(socket: ClientSocket) -> None:
        lost.append(socket)
        discard(socket)

    def awaited(quirky: QuirkyLines) -> list[bytes]:
        if quirky.socket in lost and Quirk.DROPS_PIPELINED in quirky.quirks:
            silent.append(quirky.socket)
        return lines(quirky)

    monkeypatch.setattr(run, "Connection", Timed)
    monkeypatch.setattr(ClientSocket, "over", noted)
    monkeypatch.setattr(ClientSocket, "discard", discarded)
    monkeypatch.setattr(QuirkyLines, "lines", awaited)
    time.is_silent = lambda socket: socket.out.stalled or socket in silent
    return time


def examined(server: Server, **options: Any) -> Diagnosis:
    """Diagnose the server's account, and check what must be true of every report."""
    if server.security != "none" and "ssl_context" not in options:
        options["ssl_context"] = server.client_context()
    report = diagnose(server.url, options.pop("password", server.password), **({"timeout": 20.0} | options))
    harmless(report)
    left_alone(server)
    return report


def harmless(report: Diagnosis) -> None:
    """Check that a report is plain data, has no control characters, and fits its width."""
    for text in (str(report), json.dumps(report.as_dict(), ensure_ascii=False), report.text(60)):
        assert all(line.isprintable() for line in text.split("\n"))
    words = [word for text in (*report.problems, report.greeting or "") for word in text.split()]
    assert all(len(line) <= 79 for line in str(report).split("\n")) or max(map(len, words)) > 60
    assert report.opened == (report.reached == "mailbox")
    assert report.opened or report.problems
    assert not (report.opened and report.failed)
    assert all(name in MEANINGS for name in report.quirks)


def left_alone(server: Server) -> None:
    """Check that no message was marked or deleted, and that no session sent QUIT after reading a message."""
    settle(server)
    for session in server.sessions:
        verbs = [line.partition(" ")[0].upper() for line in session.commands]
        assert "DELE" not in verbs
        assert session.deleted == ()
        if {"RETR", "TOP"} & set(verbs):
            assert "QUIT" not in verbs


# --- a good server --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
def test_a_good_server_gets_a_good_report(security: Any) -> None:
    """Everything works, and the only advice is about a missing encryption."""
    with Server(SAMPLES, security=security) as server:
        report = examined(server)
    assert report.opened
    assert (report.count, report.size) == (10, 3881)
    assert report.greeting == "pymailbox test server ready"
    assert report.mechanism == "PLAIN"
    assert report.mechanisms == ("PLAIN", "USER")
    assert {name: probe.works for name, probe in report.probes.items()} == dict.fromkeys(
        ("CAPA", "LIST", "UIDL", "TOP", "PIPELINING", "QUIT"), True
    )
    assert all(check.listed == check.received for check in report.sizes)
    assert len(report.sizes) == 3
    assert report.round_trip is not None
    assert report.round_trip > 0
    assert report.quirks == {}
    assert [text for text in report.advice if "unencrypted" not in text] == []
    assert (report.capabilities_before_tls is None) == (security == "tls")
    assert (report.capabilities_after_tls is None) == (security == "none")
    assert (report.encryption is None) == (security == "none")
    if report.encryption is not None:
        assert report.encryption.trusted
        assert report.encryption.version in ("TLSv1.2", "TLSv1.3")
        assert report.encryption.certificate is not None
        assert "localhost" in report.encryption.certificate.names


def test_the_password_is_asked_for_once() -> None:
    """The password callable is called once for two sessions."""
    asked = []

    def password() -> str:
        asked.append(1)
        return "secret"

    with Server(SAMPLES) as server:
        report = examined(server, password=password)
        assert len(server.sessions) == 2
    assert report.opened
    assert asked == [1]


def test_an_account_or_a_mailbox_can_be_diagnosed() -> None:
    """The target is a URL, an account, or a mailbox that is not open; an open one, or a socket, is misuse."""
    with Server(SAMPLES, lock=False) as server:
        account = Account.from_url(server.url, "secret")
        assert diagnose(account).opened
        assert not diagnose(account, "wrong").opened
        mailbox = Mailbox.from_account(account)
        assert diagnose(mailbox).opened
        with pytest.raises(TypeError):
            diagnose(mailbox, "secret")
        with mailbox, pytest.raises(ValueError, match="close it first"):
            diagnose(mailbox)
        with (
            socket.create_connection((server.host, server.port)) as sock,
            pytest.raises(ValueError, match="cannot use sock="),
        ):
            diagnose(account, sock=sock)


def test_utf8_and_pipelining_options_are_those_of_the_mailbox() -> None:
    """A feature that is switched off is not tried."""
    with Server(SAMPLES) as server:
        report = examined(server, utf8=False, pipelining=False, capa=False)
        assert "UTF8" not in server.log
        assert "CAPA" not in server.log
    assert report.probes["PIPELINING"].works is None
    with Server(SAMPLES) as server:
        report = examined(server, pipelining=False)
    assert report.probes["PIPELINING"].works is None
    assert "switched off" in report.probes["PIPELINING"].detail


def test_an_empty_mailbox_leaves_the_probes_unknown() -> None:
    """There is nothing to probe, so the report does not say that UIDL fails."""
    with Server([], quirks=Quirk.EMPTY_LIST_REFUSED) as server:
        report = examined(server)
    assert report.opened
    assert report.count == 0
    assert report.probes["UIDL"].works is None


# --- quirks ---------------------------------------------------------------------------------------------------

#: A quirk of the server, its name in the report, and a few words of the advice.
SEEN = [
    (Quirk.LOWERCASE_STATUS, "LOWERCASE_STATUS", ""),
    (Quirk.NO_CAPA, "NO_CAPA", ""),
    (Quirk.CLOSES_ON_CAPA, "CLOSES_ON_CAPA", "capa=False"),
    (Quirk.HANGS_ON_CAPA, "HANGS_ON_CAPA", "capa=False"),
    (Quirk.NO_CAPA_AFTER_LOGIN, "NO_CAPA_AFTER_LOGIN", ""),
    (Quirk.HANGS_UP_ON_PIPELINE, "HANGS_UP_ON_PIPELINE", "pipelining=False"),
    (Quirk.DROPS_PIPELINED, "DROPS_PIPELINED", "pipelining=False"),
    (Quirk.UIDL_UNLISTED, "UIDL_UNLISTED", ""),
    (Quirk.UIDL_REFUSED, "UIDL_REFUSED", "Without UIDL"),
    (Quirk.TOP_UNLISTED, "TOP_UNLISTED", ""),
    (Quirk.TOP_REFUSED, "TOP_REFUSED", "Without TOP"),
    (Quirk.NEGATIVE_STAT_SIZE, "NEGATIVE_STAT_SIZE", ""),
    (Quirk.STAT_WITHOUT_SIZE, "STAT_WITHOUT_SIZE", ""),
    (Quirk.STAT_SIZE_IN_WORDS, "STAT_SIZE_IN_WORDS", ""),
    (Quirk.STAT_COUNTS_LESS, "COUNTS_DIFFER", ""),
    (Quirk.LIST_WITHOUT_SIZE, "LIST_WITHOUT_SIZE", ""),
    (Quirk.LIST_JUNK_SIZE, "LIST_JUNK_SIZE", ""),
    (Quirk.LIST_EXTRA_FIELDS, "LIST_EXTRA_FIELDS", ""),
    (Quirk.LIST_EXTRA_SPACES, "LIST_EXTRA_SPACES", ""),
    (Quirk.ROUNDED_SIZES, "SIZES_LIE", ""),
    (Quirk.SPACES_BEFORE_UID, "SPACES_BEFORE_UID", ""),
    (Quirk.OK_PREFIX_ON_UIDL, "OK_PREFIX_ON_UIDL", ""),
    (Quirk.BLANK_UID, "BLANK_UID", "blank uid"),
    (Quirk.DUPLICATE_UIDS, "DUPLICATE_UIDS", "Never delete by uid"),
    (Quirk.INVALID_UIDS, "INVALID_UIDS", ""),
    (Quirk.BLANK_LINE_IN_LISTING, "BLANK_LINE_IN_LISTING", ""),
    (Quirk.UNORDERED_UIDL, "UNORDERED_UIDL", ""),
    (Quirk.UNKNOWN_NUMBER_IN_UIDL, "UNKNOWN_NUMBER_IN_UIDL", ""),
    (Quirk.NEW_UIDS_EACH_SESSION, "NEW_UIDS_EACH_SESSION", "change with every session"),
    (Quirk.LF_LINES, "LF_LINES", ""),
    (Quirk.TOP_IGNORES_COUNT, "TOP_IGNORES_COUNT", ""),
    (Quirk.TOP_TEN_LINES, "TOP_IGNORES_COUNT", ""),
    (Quirk.TOP_ONE_LINE, "TOP_OTHER_HEADERS", ""),
    (Quirk.TOP_OTHER_HEADERS, "TOP_OTHER_HEADERS", ""),
    (Quirk.TWO_STATUS_LINES_FOR_TOP, "TWO_STATUS_LINES_FOR_TOP", ""),
    (Quirk.EXTRA_BLANK_LINE, "SIZES_LIE", ""),
]


def test_quirks_are_found() -> None:
    """An account on a quirky but honest server can be opened, and the report names the quirk and gives advice."""
    for quirk, name, word in SEEN:
        with case(quirk.name):
            with Server(MAILS, quirks=quirk, lock_wait=GENEROUS) as server:
                report = examined(server)
            assert report.opened, report
            assert name in report.quirks
            assert name in str(report)
            assert word in " ".join(report.advice)


#: What is odd about the first message or about all, and the quirk in the latter case, if any.
ODD_MESSAGES: list[tuple[str, Callable[[int | None], Fault], str]] = [
    ("RETR refused", lambda nth: Fault.replace("RETR", nth, reply=b"-ERR damaged\r\n"), "NO_RETR"),
    (
        "RETR of another size",
        lambda nth: Fault.replace("RETR", nth, reply=b"+OK\r\n" + MAIL % 0 + b"!\r\n.\r\n"),
        "SIZES_LIE",
    ),
    (
        "TOP with a body",
        lambda nth: Fault.replace("TOP", nth, reply=b"+OK\r\nA: b\r\n\r\nbody\r\n.\r\n"),
        "TOP_IGNORES_COUNT",
    ),
    (
        "TOP of other headers",
        lambda nth: Fault.replace("TOP", nth, reply=b"+OK\r\nA: b\r\n\r\n.\r\n"),
        "TOP_OTHER_HEADERS",
    ),
    ("TOP refused", lambda nth: Fault.replace("TOP", nth, reply=b"-ERR damaged\r\n"), "TOP_REFUSED"),
    ("TOP hangs up", lambda nth: Fault.cut(2, command="TOP", nth=nth, session=None if nth is None else 2), ""),
    ("RETR hangs up", lambda nth: Fault.cut(2, command="RETR", nth=nth, session=None if nth is None else 2), ""),
]


def test_one_odd_message_is_not_the_server() -> None:
    """A fault of one message is reported for that message; the same fault of several is the server's quirk."""
    for name, fault, quirk in ODD_MESSAGES:
        with case(name, "one"):
            with Server(MAILS, faults=[fault(1)], lock_wait=GENEROUS) as server:
                report = examined(server)
            assert report.opened
            assert report.quirks == {}
            assert report.probes["TOP"].works
            assert not any("TOP" in advice for advice in report.advice)
            told = f"{report.probes['TOP'].detail} {report.sizes[0]} {report.problems}"
            assert "message 1" in told or "number=1" in told
        with case(name, "all"):
            with Server(MAILS, faults=[fault(None)], lock_wait=GENEROUS) as server:
                report = examined(server)
            assert quirk in report.quirks or not quirk
            assert report.probes["TOP"].works == (name not in ("TOP refused", "TOP hangs up"))


def test_the_only_message_is_not_the_server_either() -> None:
    """With a single message, the report blames the server only for what cannot be due to the message."""
    for name, fault, quirk in ODD_MESSAGES:
        with case(name), Server(MAILS[:1], faults=[fault(None)], lock_wait=GENEROUS) as server:
            report = examined(server)
            # If RETR returns a message and TOP does not, the message is not the cause.
            assert set(report.quirks) == ({quirk} if name == "TOP refused" else set())
    for mails, expected in ((MAILS[:1], {"TWO_STATUS_LINES_FOR_TOP"}), ([b"+OK then\r\nA: b\r\n\r\nx\r\n"], set())):
        quirks = Quirk.TWO_STATUS_LINES_FOR_TOP if expected else ()
        with case(mails), Server(mails, quirks=quirks) as server:
            assert set(examined(server).quirks) == expected
    faults = [Fault.replace(verb, None, reply=b"-ERR damaged\r\n") for verb in ("TOP", "RETR")]
    with Server(MAILS[:1], faults=faults) as server:
        report = examined(server)
        assert report.probes["TOP"].works is None
        assert report.quirks == {}


def test_a_quirk_with_another_explanation_is_not_reported() -> None:
    """A server that answers nothing does not have a quirk with CAPA, AUTH or pipelining."""
    with Server(MAILS, faults=[Fault.cut(0, command="AUTH", nth=None)]) as server:
        report = examined(server)
        assert (report.failed, report.quirks) == ("login", {})
    for fault in (Fault.cut, Fault.stall):
        faults = [fault(command=command, nth=None) for command in ("CAPA", "USER", "AUTH")]
        with case(fault), Server(MAILS, faults=faults) as server:
            report = examined(server)
            assert (report.failed, report.quirks) == ("login", {})
            assert "CAPA" in report.problems[1]
            assert not any("capa=False" in advice for advice in report.advice)
    with Server(MAILS, faults=[Fault.cut(command="NOOP", nth=None)], lock_wait=GENEROUS) as server:
        report = examined(server)
        assert report.probes["PIPELINING"].works
        assert report.quirks == {}
    for quirks, options in ((Quirk.NO_CAPA, {}), (Quirk.CLOSES_ON_CAPA, {}), ((), {"capa": False})):
        with case(quirks, options), Server(MAILS, quirks=quirks, lock_wait=GENEROUS) as server:
            report = examined(server, **options)
            assert not {"UIDL_UNLISTED", "TOP_UNLISTED"} & set(report.quirks)
            assert report.probes["UIDL"].listed is None


def test_the_other_form_of_auth_is_found_before_a_secret_is_sent() -> None:
    """The first line of SCRAM has no secret, so it can be repeated; after a refused PLAIN nothing is tried again."""
    for mechanism, opened in (("SCRAM-SHA-256", True), ("PLAIN", False)):
        with case(mechanism):
            with Server(MAILS, quirks=Quirk.AUTH_NEEDS_TWO_LINES, sasl=(mechanism,), lock_wait=GENEROUS) as server:
                report = examined(server)
            assert report.opened == opened, report
            assert ("OTHER_AUTH_FORM" in report.quirks) == opened


HARMLESS = [
    Quirk.BARE_STATUS,
    Quirk.MALFORMED_CAPA,
    Quirk.SHORT_CAPA_BEFORE_LOGIN,
    Quirk.MERGED_UIDL_LINES,
    Quirk.UIDS_AS_PATHS,
    Quirk.QUIT_WITHOUT_REPLY,
    Quirk.LOCK_LINGERS,
    Quirk.WRAPS_UTF8,
    Quirk.STOPS_READING,
    Quirk.HIDES_READ | Quirk.TOP_COUNTS_AS_READ,
    Quirk.DELETES_READ | Quirk.TOP_COUNTS_AS_READ,
    Quirk.COMMITS_ON_DROP,
]


@pytest.mark.threat(89)
def test_a_diagnosis_does_not_change_the_mailbox() -> None:
    """This holds even on servers on which reading or disconnecting has side effects."""
    for quirk in HARMLESS:
        with case(quirk), Server(MAILS, quirks=quirk) as server:
            assert examined(server).opened
            assert server.messages == tuple(MAILS)
            with Mailbox.from_url(server.url, "secret", timeout=GENEROUS) as inbox:
                assert len(inbox) == len(MAILS)


@pytest.mark.threat(84)
def test_expire_0_reads_nothing() -> None:
    """If RETR may delete, only TOP is sent."""
    with Server(MAILS, expire="0") as server:
        report = examined(server)
        assert not any(line.startswith("RETR") for line in server.log)
    assert report.opened
    assert report.sizes == ()
    assert any(text.startswith("EXPIRE 0") for text in report.advice)


def test_login_delay_is_respected() -> None:
    """There is only one session, and the advice is not to poll more often."""
    with Server(MAILS, login_delay=60) as server:
        report = examined(server)
        assert len(server.sessions) == 1
    assert report.opened
    assert report.probes["TOP"].works
    assert "second session" not in report.probes["UIDL"].detail
    assert any("60 seconds" in text for text in report.advice)


@pytest.mark.parametrize("fault", ["stall", "cut", "stray"])
def test_a_broken_probe_is_a_finding(fault: str) -> None:
    """Silence, a lost connection or an invalid reply ends a session, but not the diagnosis, which takes bounded time."""
    for command in ("NOOP", "LIST", "UIDL", "TOP", "RETR", "QUIT"):
        with case(command):
            break_probe(command, fault)


def break_probe(command: str, fault: str) -> None:
    """Diagnose a server on which a command always goes wrong in this way."""
    order = {
        "stall": lambda: Fault.stall(command=command, nth=None),
        "cut": lambda: Fault.cut(2, command=command, nth=None),
        "stray": lambda: Fault.replace(command, None, reply=b"what?\r\n"),
    }[fault]()
    with Server(MAILS, faults=[order], lock_wait=GENEROUS) as server:
        report = examined(server)
        assert len(server.sessions) <= 6
    assert report.opened
    if command in report.probes:
        assert report.probes[command].works is False
    else:
        assert report.problems
    assert report.probes["PIPELINING"].works


def test_a_refused_list_is_a_quirk() -> None:
    """The sizes are then unknown, so TOP is tried on the first messages, and none is read."""
    with Server(MAILS, faults=[Fault.replace("LIST", None, reply=b"-ERR no\r\n")]) as server:
        report = examined(server)
        assert not any(line.startswith("RETR") for line in server.log)
    assert set(report.quirks) == {"NO_LIST"}
    assert report.probes["LIST"].works is False
    assert report.probes["TOP"].works


def test_a_different_count_in_a_pipeline_is_found() -> None:
    """If STAT returns a different count when pipelined, the advice is pipelining=False."""
    with Server(MAILS, faults=[Fault.replace("STAT", 3, reply=b"+OK 4 1\r\n")], lock_wait=GENEROUS) as server:
        report = examined(server)
    assert report.probes["PIPELINING"].works is False
    assert any("pipelining=False" in text for text in report.advice)


def test_the_report_says_why_there_was_no_other_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """If another session is refused, too early or one too many, the account still counts as one that can be opened."""
    monkeypatch.setattr(run, "time", SimpleNamespace(sleep=lambda _: None))
    hung = [Fault.cut(command=command, nth=None) for command in ("NOOP", "LIST", "UIDL", "TOP", "RETR")]
    for name, options, word in (
        (
            "refused",
            {"faults": [Fault.replace("AUTH", None, reply=b"-ERR [AUTH] no\r\n", session=2)]},
            "could not be opened",
        ),
        (
            "locked",
            {"faults": [Fault.replace("AUTH", None, reply=b"-ERR [IN-USE] no\r\n", session=n) for n in range(2, 9)]},
            "another session holds the mailbox",
        ),
        (
            "refused in between",
            {
                "faults": [
                    Fault.cut(command="NOOP"),
                    Fault.replace("AUTH", None, reply=b"-ERR [AUTH] no\r\n", session=2),
                ]
            },
            "could not be opened",
        ),
        ("too early", {"login_delay": 60, "faults": [Fault.cut(command="LIST")]}, "time between logins"),
        ("too many", {"faults": hung}, "stopped after 5 sessions"),
    ):
        with case(name), Server(MAILS, lock_wait=GENEROUS, **options) as server:  # type: ignore[arg-type]
            report = examined(server)
            assert report.opened
            assert any(word in problem for problem in report.problems)
            assert sum(line.startswith("AUTH") for line in server.log) <= 5


def test_an_endless_message_is_cut_off() -> None:
    """A message that is far larger than listed is a finding."""
    with Server(MAILS, faults=[Fault.endless("RETR", chunk=b"x" * 8190 + b"\r\n")]) as server:
        report = examined(server)
    assert report.opened
    assert any("listed as small but" in problem for problem in report.problems)


# --- the step that fails ---------------------------------------------------------------------------------------

#: A name, options of the server, changes to the account, the step that fails, and a few words of the verdict.
STEPS: list[tuple[str, dict[str, Any], dict[str, Any], str | None, str]] = [
    ("a greeting of -ERR", {"quirks": Quirk.REFUSES_SERVICE}, {}, "greeting", "greeting"),
    ("IMAP", {"quirks": Quirk.GREETS_AS_IMAP}, {}, "greeting", "greeting"),
    ("no greeting", {"faults": [Fault.stall(command="GREETING")]}, {}, "greeting", "greeting"),
    ("hangs up at once", {"faults": [Fault.cut(command="GREETING")]}, {}, "greeting", "greeting"),
    ("nonsense for CAPA", {"faults": [Fault.replace("CAPA", None, reply=b"what?\r\n")]}, {}, "CAPA", "CAPA"),
    ("no STLS", {}, {"scheme": "pop+starttls"}, "STLS", "STLS"),
    ("STLS refused", {"security": "starttls", "quirks": Quirk.STLS_REFUSED}, {}, "STLS", "STLS"),
    ("text after STLS", {"security": "starttls", "quirks": Quirk.PLAINTEXT_AFTER_STLS}, {}, "STLS", "STLS"),
    ("an unknown authority", {"security": "tls"}, {"ssl_context": None}, "TLS", "TLS handshake"),
    ("the same with STLS", {"security": "starttls"}, {"ssl_context": None}, "TLS", "TLS handshake"),
    ("no TLS on this port", {}, {"scheme": "pops"}, "TLS", "TLS handshake"),
    ("a wrong password", {}, {"password": "wrong-one"}, "login", "login failed"),
    ("hangs up at login", {"faults": [Fault.cut(command="AUTH", nth=None)]}, {}, "login", "login failed"),
    ("a locked mailbox", {"faults": [Fault.replace("AUTH", None, reply=b"-ERR [IN-USE] x\r\n")]}, {}, "login", "login"),
    ("no password", {}, {"password": None}, None, "was not opened"),
    ("STAT refused", {"quirks": Quirk.STAT_REFUSED}, {}, "STAT", "STAT failed"),
    ("hangs up at STAT", {"faults": [Fault.cut(command="STAT", nth=None)]}, {}, "STAT", "STAT failed"),
    ("nothing wrong", {}, {}, None, "can be opened"),
]


def test_the_step_that_failed_is_named() -> None:
    """The verdict names the step that failed, and the first problem says why."""
    for name, how, account, step, word in STEPS:
        with case(name), Server(MAILS, **how) as server:
            given: dict[str, Any] = {"timeout": 20.0, "password": "secret"} | account
            scheme, user = given.pop("scheme", server.url.partition(":")[0]), given.pop("user", "me@")
            if server.security != "none" and "ssl_context" not in given:
                given["ssl_context"] = server.client_context()
            report = diagnose(f"{scheme}://{user}127.0.0.1:{server.port}", given.pop("password"), **given)
            harmless(report)
            left_alone(server)
            assert report.failed == step
            assert word in str(report).split("\n")[2]
            assert report.opened or report.problems


def test_an_unknown_host_a_closed_port_and_a_missing_password_differ() -> None:
    """Each of them is a different step in the report."""
    report = diagnose("pops://me@no-such-host.invalid", SECRET)
    assert (report.failed, report.advice) == ("host name", ())
    assert "host name was not found" in str(report)
    report = diagnose("pop://me@127.0.0.1:1", SECRET)
    assert report.failed == "connection"
    assert "connecting to the server failed" in str(report)

    def password() -> str:
        raise ValueError("the keyring has no such password")

    missing = PasswordFile("/no/such/file"), PasswordNetrc("/no/such/netrc")
    credentials: list[tuple[Any, Any]] = [(one, None) for one in (password, *missing)]
    credentials += [(None, OAuth2(one)) for one in (password, *missing)]
    for given, auth in credentials:
        with case(given, auth), Server(MAILS) as server:
            report = examined(server, password=given, auth=auth)
            assert report.failed == "password"
            assert "getting the password failed" in str(report)


def test_a_diagnosis_works_through_an_http_proxy() -> None:
    """What an HTTP proxy does not allow is not tried, and the report says so; the first problem is the failure."""
    with Server(MAILS) as server, proxy(Connect(server.port)) as port:
        report = diagnose("pops://me@pop.example.com", SECRET, proxy=f"http://me:{SECRET}@127.0.0.1:{port}")
    harmless(report)
    assert (report.failed, report.greeting) == ("TLS", None)
    assert "not tried without TLS" in report.problems[1]
    assert SECRET not in str(report)
    with Server(MAILS, security="tls") as server, proxy(Connect(server.port)) as port:
        options: dict[str, Any] = {"ssl_context": server.client_context(), "proxy": f"http://127.0.0.1:{port}"}
        assert diagnose("pops://me@localhost", "secret", **options).opened


# --- what goes wrong before the mailbox -----------------------------------------------------------------------


def test_a_wrong_password_is_tried_once() -> None:
    """It is a finding; a second attempt could lock the account."""
    with Server(MAILS) as server:
        report = examined(server, password=SECRET)
        logins = [line for line in server.log if line.startswith(("AUTH", "PASS"))]
    assert logins == ["AUTH PLAIN ***"]
    assert (report.reached, report.mechanism, report.opened) == ("greeting", "PLAIN", False)
    assert "refused" in report.problems[0]


def test_without_a_password_it_stops_at_the_login() -> None:
    """The report has what can be seen without logging in."""
    with Server(MAILS, sasl=["SCRAM-SHA-256", "PLAIN"], apop=True) as server:
        report = examined(server, password=None)
        assert server.log == ("CAPA",)
    assert report.mechanisms == ("SCRAM-SHA-256", "PLAIN", "USER", "APOP")
    assert "no password" in report.problems[0]


def test_a_failing_password_callable_is_a_finding() -> None:
    """The report has the text of its ValueError."""

    def password() -> str:
        raise ValueError("the keyring has no such password")

    with Server(MAILS) as server:
        report = examined(server, password=password)
    assert report.problems == ("the keyring has no such password",)


def test_a_refused_stat_is_a_finding() -> None:
    """The login succeeds, but the account cannot be opened."""
    with Server(MAILS, quirks=Quirk.STAT_REFUSED) as server:
        report = examined(server)
        assert len(server.sessions) == 1
    assert report.reached == "login"
    assert "every 15 minutes" in report.problems[0]


@pytest.mark.parametrize("quirk", [Quirk.GREETS_AS_IMAP, Quirk.GREETS_WITH_TLS, Quirk.REFUSES_SERVICE])
def test_a_server_without_a_pop3_greeting_is_a_finding(quirk: Quirk) -> None:
    """The diagnosis gets as far as the connection."""
    with Server(MAILS, quirks=quirk) as server:
        report = examined(server)
    assert (report.reached, report.greeting) == ("connection", None)


def test_without_a_connection_nothing_is_reached() -> None:
    """This is so for an unknown host and for a closed port."""
    for url in ("pops://me@no-such-host.invalid", "pop://me@127.0.0.1:1"):
        report = diagnose(url, SECRET)
        harmless(report)
        assert report.reached == "nothing"


def test_a_silent_server_costs_one_timeout(silent_time: SilentTime) -> None:
    """The diagnosis waits for the timeout, and then briefly checks for TLS."""
    with Server(MAILS, faults=[Fault.stall(command="GREETING")]) as server:
        begun = silent_time.now
        report = examined(server)
    assert "silent" in report.problems[0]
    assert 20 <= silent_time.now - begun < 20 + 5 + 2


# --- TLS ------------------------------------------------------------------------------------------------------


def test_tls_on_a_plaintext_port_is_explained() -> None:
    """The port is checked without TLS and without logging in, and the advice is the right URL."""
    with Server(MAILS, security="starttls") as server:
        report = diagnose(server.url.replace("pop+starttls", "pops"), SECRET)
        harmless(report)
        assert not any(line.startswith(("AUTH", "USER", "PASS")) for line in server.log)
        assert f"use pop+starttls://127.0.0.1:{server.port}" in report.advice[0]
    assert report.reached == "connection"


@pytest.mark.parametrize("scheme", ["pop", "pop+starttls"])
def test_plaintext_on_a_tls_port_is_explained(scheme: str, silent_time: SilentTime) -> None:
    """The port is checked with TLS and without logging in, and the advice is the right URL."""
    silent_time.is_silent = lambda socket: (
        socket is silent_time.sockets[0]
    )  # both sides wait for the other to send first
    with Server(MAILS, security="tls") as server:
        report = diagnose(server.url.replace("pops", scheme), SECRET)
        harmless(report)
        assert f"use pops://127.0.0.1:{server.port}" in report.advice[0]
        assert server.log == ()


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_an_untrusted_certificate_is_shown(security: Any) -> None:
    """The report shows its contents and fingerprint, from a connection on which no password is sent."""
    with Server(MAILS, security=security) as server:
        report = diagnose(server.url, SECRET)
        harmless(report)
        assert not any(line.startswith(("AUTH", "USER", "PASS")) for line in server.log)
        assert report.encryption is not None
        assert not report.encryption.trusted
        certificate = report.encryption.certificate
        assert certificate is not None
        assert "localhost" in certificate.names
        assert certificate.fingerprint in report.advice[-1]
        assert "verification failed" in report.problems[0]
        pinned = diagnose(server.url, "secret", ssl_context=tls.pinned(certificate.fingerprint))
    assert pinned.opened
    assert pinned.encryption is not None
    assert pinned.encryption.trusted
    assert pinned.encryption.certificate == certificate


@pytest.mark.parametrize(
    ("names", "options", "word"),
    [
        (("localhost", "127.0.0.1"), {"since": -9 * DAY, "until": -DAY}, "has expired"),
        (("localhost", "127.0.0.1"), {"since": 9 * DAY, "until": 19 * DAY}, "not valid yet"),
        (("elsewhere.example",), {}, "another"),
        (("localhost", "127.0.0.1"), {"own": True}, "self-signed"),
    ],
)
def test_the_report_says_what_is_wrong_with_a_certificate(tmp_path: Path, names: Any, options: Any, word: str) -> None:
    """It tells an expired certificate, one for another host and a self-signed one apart, and shows each of them."""
    authority = Authority(tmp_path)
    context = server_context(authority.issue(*names, **options))
    with Server(MAILS, host="127.0.0.1", security="tls", ssl_context=context) as server:
        report = diagnose(f"pops://me@localhost:{server.port}", SECRET, ssl_context=tls.private_ca(authority.pem))
        harmless(report)
    assert word in report.problems[0]
    assert report.encryption is not None
    assert report.encryption.certificate is not None
    assert set(report.encryption.certificate.names) == set(names)


def test_advice_follows_from_findings() -> None:
    """Another port, name or option is suggested because of what was found, never because of the port number alone."""
    seen = Encryption(True, "TLSv1.3", "X", Certificate("00", ("pop.example.com",)))
    other = evolve(seen, trusted=False)
    hello = Capabilities.from_lines(["USER"])
    stls = Capabilities.from_lines(["USER", "STLS"])
    for url, facts, expected in (
        ("pop+starttls://pop.example.com:995", {"failed": "login", "greeting": "", "encryption": seen}, []),
        ("pops://pop.example.com:110", {"failed": "login", "greeting": "", "encryption": seen}, []),
        (
            "pop+starttls://pop.example.com:995",
            {"failed": "greeting", "encryption": other},
            ["use pops://pop.example.com:995"],
        ),
        (
            "pops://pop.example.com:110",
            {"failed": "TLS", "greeting": "", "capabilities_before_tls": stls},
            ["use pop+starttls://"],
        ),
        (
            "pops://pop.example.com:110",
            {"failed": "TLS", "greeting": "", "capabilities_before_tls": hello},
            ["another port"],
        ),
        ("pops://pop.example.com:110", {"failed": "TLS", "greeting": ""}, ["try pop+starttls://"]),
        ("pops://pop.example.com", {"failed": "TLS"}, []),
        (
            "pop+starttls://pop.example.com",
            {"failed": "STLS", "greeting": "", "capabilities_before_tls": hello},
            ["try pops://"],
        ),
        ("pop+starttls://pop.example.com", {"failed": "STLS", "greeting": "", "capabilities_before_tls": stls}, []),
        ("pops://pop.example.com:1", {"failed": "connection"}, ["usually on port 995"]),
        ("pops://pop.example.com", {"failed": "connection"}, []),
        ("pops://pop.example.com:1", {"failed": "host name"}, []),
        ("pops://pop.example.com", {"failed": "TLS", "encryption": other}, ["by its fingerprint"]),
        (
            "pops://www.example.com",
            {"failed": "TLS", "encryption": other},
            ["for pop.example.com; if", "by its fingerprint"],
        ),
        (
            "pop+starttls://pop.example.com",
            {"failed": "TLS", "greeting": "", "encryption": other},
            ["by its fingerprint"],
        ),
    ):
        with case(url, facts):
            given = list(advise(Diagnosis(url=url, **facts), Account.from_url(url)))
            assert len(given) == len(expected), given
            assert all(word in text for word, text in zip(expected, given, strict=True)), given


def test_a_certificate_that_cannot_be_decoded_has_a_fingerprint() -> None:
    """If the second connection fails, the report still has the fingerprint."""
    with (
        Server(MAILS, security="tls") as server,
        Proxy(server.host, server.port, faults=[Fault.cut(session=3)]) as between,
    ):
        report = diagnose(f"pops://me@127.0.0.1:{between.port}", SECRET, timeout=20.0)
        harmless(report)
    assert report.encryption is not None
    assert report.encryption.certificate is not None
    assert report.encryption.certificate.names == ()
    assert report.encryption.certificate.fingerprint in str(report)
    assert not any("certificate is for" in text for text in report.advice)


def test_names_of_certificates_are_matched() -> None:
    """A certificate is for a host if it has its name, a matching wildcard or its address (RFC 9525)."""
    for name, host, same in (
        ("pop.example.com", "POP.example.com.", True),
        ("*.example.com", "pop.example.com", True),
        ("*.example.com", "a.pop.example.com", False),
        ("*.example.com", "example.com", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("0:0:0:0:0:0:0:1", "::1", True),
        ("127.0.0.2", "127.0.0.1", False),
        ("pop.example.com", "127.0.0.1", False),
    ):
        certificate = Certificate("00", (name,))
        report = Diagnosis(url="", failed="TLS", encryption=Encryption(False, certificate=certificate))
        advice = " ".join(advise(report, Account(host)))
        assert ("certificate is for" not in advice) == same, (name, host)


def test_a_certificate_that_expires_soon_is_reported() -> None:
    """There is advice in the last two weeks, and not before."""
    account = Account("pop.example.com")

    def advice(days: float) -> str:
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
        certificate = Certificate("00", ("pop.example.com",), "CA", until - DAY, until)
        report = Diagnosis(url=account.url, greeting="", encryption=Encryption(True, "TLSv1.3", "X", certificate))
        return " ".join(advise(report, account))

    assert "expires in 3 days" in advice(3.5)
    assert "has expired" in advice(-1)
    assert advice(20) == ""


def test_a_failing_stls_is_a_finding() -> None:
    """If STLS is listed but refused, or its handshake fails, no password is sent."""
    for quirk in (Quirk.STLS_REFUSED, Quirk.STLS_HANDSHAKE_FAILS, Quirk.PLAINTEXT_AFTER_STLS):
        with Server(MAILS, security="starttls", quirks=quirk) as server:
            report = examined(server)
            assert not any(line.startswith(("AUTH", "USER", "PASS")) for line in server.log)
        assert not report.opened


def test_an_unencrypted_account_gets_advice() -> None:
    """If the server supports STLS, the advice is the URL that uses it."""
    account = Account("pop.example.com", "me", security="none")
    told = Capabilities.from_lines(["USER", "STLS"])
    report = Diagnosis(url=account.url, greeting="", capabilities_before_tls=told)
    assert any("use pop+starttls://pop.example.com:110" in text for text in advise(report, account))


def test_a_message_without_header_is_not_a_quirk() -> None:
    """A message that begins with its blank line has the same empty header with TOP and with RETR."""
    with Server([b"\r\nbody without any header\r\n", b"no line is a field\r\n", b"Subject: x\r\n"]) as server:
        assert examined(server).quirks == {}


def test_a_long_report_fits_its_width() -> None:
    """Dozens of mechanisms are split between lines."""
    told = Capabilities.from_lines(["SASL " + " ".join(f"MECHANISM-{number}" for number in range(30)), "TOP"])
    report = Diagnosis(url="pop://me@h:110", capabilities_before_tls=told, problems=("x",))
    assert all(len(line) <= 60 for line in report.text(60).split("\n"))


# --- advice ---------------------------------------------------------------------------------------------------


def test_gmail_is_known() -> None:
    """Its greeting is recognized, and the advice says what Gmail hides."""
    account = Account("pop.gmail.com")
    report = Diagnosis(url=account.url, greeting="Gpop ready for requests from 192.0.2.1")
    assert any("recent:" in text for text in advise(report, account))


def test_there_is_advice_about_logins_and_expiry(monkeypatch: pytest.MonkeyPatch) -> None:
    """It covers a missing library, a server that accepts no passwords, and mail that is kept for only some days."""
    account = Account("pop.example.com")

    def advice(**facts: Any) -> str:
        return " ".join(advise(Diagnosis(url=account.url, **facts), account))

    assert "does not accept passwords, only XOAUTH2" in advice(mechanisms=("XOAUTH2",))
    assert advice(mechanisms=("XOAUTH2",), opened=True) == ""
    assert advice(mechanisms=("XOAUTH2", "USER")) == ""
    assert advice(mechanisms=("SCRAM-SHA-256",)) == ""
    monkeypatch.setattr(scram, "available", lambda: False)
    assert "pymailbox[scram]" in advice(mechanisms=("SCRAM-SHA-256",))
    assert "for only 5 days" in advice(capabilities_after_login=Capabilities.from_lines(["EXPIRE 5"]))
    assert advice(capabilities_after_login=Capabilities.from_lines(["EXPIRE NEVER"])) == ""


def test_the_report_has_the_cost_of_a_round_trip() -> None:
    """Without pipelining, a thousand messages cost a thousand round trips."""
    with Server(MAILS, pipelining=False, latency=0.01) as server:
        report = examined(server)
    assert report.round_trip is not None
    assert report.round_trip >= 0.02
    assert any(f"1,000 messages take at least {1000 * report.round_trip:.0f} seconds" in text for text in report.advice)


# --- secrets --------------------------------------------------------------------------------------------------


def test_no_secret_in_any_output(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    """If the server echoes the password in every reply, it still does not get into report, log or output."""
    caplog.set_level(logging.DEBUG)
    echo = SECRET.encode()
    faults = [
        Fault.replace("STAT", None, reply=b"+OK 5 " + echo + b"\r\n"),
        Fault.replace("UIDL", None, reply=b"-ERR " + echo + b"\r\n"),
        Fault.replace("NOOP", None, reply=b"+OK " + echo + b"\r\n"),
    ]
    lines = ["TOP", "UIDL", "USER", "SASL PLAIN", "X-" + SECRET + " " + SECRET, "IMPLEMENTATION " + SECRET]
    with Server(MAILS, password=SECRET, capabilities=lines, faults=faults) as server:
        right = examined(server)
        wrong = examined(server, password=SECRET + "!")
    assert right.opened
    assert not wrong.opened
    captured = capsys.readouterr()
    shown = [
        *(str(right), repr(right), json.dumps(right.as_dict())),
        *(text.replace(SECRET + "!", "") for text in (*wrong.problems, *wrong.advice)),
        *(record.getMessage() for record in caplog.records),
        *(captured.out, captured.err),
    ]
    assert not any(SECRET.lower() in text.lower() for text in shown)


def test_only_the_servers_words_are_redacted() -> None:
    """Our own sentences are public, so a gap in them would reveal a password of one letter or of one common word."""
    for password in ("e", "login", "server"):
        faults = [
            Fault.refuse("UIDL", text=f"not {password}", nth=None),
            Fault.stall(command="LIST"),
            Fault.replace("AUTH", None, reply=f"-ERR [AUTH] not {password}\r\n".encode(), session=2),
        ]
        with case(password), Server(MAILS, password=password, faults=faults) as server:
            report = examined(server)
            wrong = examined(server, password=password + "!")
            assert report.mechanisms == ("PLAIN", "USER")
            assert "***" not in report.probes["LIST"].detail
            for text, gaps in ((report.problems[0], 2), (wrong.problems[0], 1)):
                assert "[AUTH PLAIN ***] (the server replied: " in text
                assert text.count("***") == gaps, text
            assert report.problems[0].endswith("[AUTH] not ***)")


def test_a_token_is_a_secret_too() -> None:
    """An account with OAuth2 can be diagnosed like any other."""
    with Server(MAILS, sasl=["XOAUTH2"], token=SECRET, plaintext=True) as server:
        account = Account("127.0.0.1", "me", auth=OAuth2(lambda: SECRET), security="none", port=server.port)
        report = diagnose(account)
        harmless(report)
    assert report.opened
    assert report.mechanism == "XOAUTH2"
    assert SECRET not in repr(report)


@pytest.mark.threat(113)
def test_a_hostile_server_cannot_reach_the_terminal() -> None:
    """Escape sequences in greeting, capabilities, refusals and uids are escaped."""
    evil = "\x1b]52;c;aGk=\x07\x1b[2J\u202e\x9b31m"
    faults = [Fault.replace("UIDL", None, reply=f"-ERR {evil}\r\n".encode())]
    with Server(MAILS, greeting=evil, capabilities=["USER", f"X{evil} {evil}"], faults=faults) as server:
        report = examined(server)
    assert report.greeting == safe_text(evil)
    assert "\\x1b[2J" in report.probes["UIDL"].detail


# --- completeness ---------------------------------------------------------------------------------------------


def test_every_quirk_has_a_meaning() -> None:
    """Every name that the package passes to `note` is explained."""
    noted = set()
    for path in Path(pymailbox.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "note" and node.args:
                names = [part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)]
                noted.update(name for name in names if isinstance(name, str) and name.isupper())
    assert len(noted) > 20
    assert noted <= set(MEANINGS)


# --- a real server --------------------------------------------------------------------------------------------


def test_dovecot(dovecot: RealServer) -> None:
    """On an independent server everything works except one size, and the mailbox does not change."""
    assert dovecot.ca is not None
    report = diagnose(dovecot.tls_url, dovecot.password, ssl_context=trusting(dovecot.ca))
    harmless(report)
    assert report.opened
    assert report.count == len(dovecot.stored)
    assert report.mechanism == "SCRAM-SHA-256"
    assert report.probes["PIPELINING"].works
    assert report.probes["TOP"].works
    assert "stable across sessions" in report.probes["UIDL"].detail
    with Mailbox.from_url(dovecot.tls_url, dovecot.password, ssl_context=trusting(dovecot.ca)) as inbox:
        assert len(inbox) == len(dovecot.stored)
    plain = diagnose(dovecot.url.replace("pop:", "pop+starttls:"), dovecot.password, ssl_context=trusting(dovecot.ca))
    assert plain.opened
    assert plain.capabilities_before_tls is not None
    assert "STLS" in plain.capabilities_before_tls
