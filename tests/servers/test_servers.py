"""The real servers do what `tests.servers` claims, according to the standard library's poplib.

These tests verify what the other tests rely on (messages, features, mechanisms, fresh mailboxes) without pymailbox.
"""

import base64
import hashlib
import os
import poplib
import select
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.conftest import Servers
from tests.servers import MASTER, RealServer, ServerFailedError, jwt, mails, trusting
from tests.servers.cyrus import taken
from tests.servers.processes import PATIENCE, Process, held_ports
from tests.timing import GENEROUS, eventually


@pytest.fixture(autouse=True)
def long_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise poplib's limit of 2,048 bytes for lines, because some messages have longer ones."""
    monkeypatch.setattr(poplib, "_MAXLINE", 1 << 20)


@contextmanager
def session(server: RealServer, security: str = "none", *, login: bool = True) -> Iterator[poplib.POP3]:
    """Open a poplib session, logged in as the shared user, and always close it."""
    pop: poplib.POP3
    if security == "tls":
        assert server.ca is not None
        assert server.tls_port is not None
        pop = poplib.POP3_SSL(server.host, server.tls_port, timeout=PATIENCE, context=trusting(server.ca))
    else:
        pop = poplib.POP3(server.host, server.port, timeout=PATIENCE)
    try:
        if security == "starttls":
            assert server.ca is not None
            pop.stls(trusting(server.ca))
        if login:
            enter(pop, server.user, server.password, utf8="utf8" in server.features)
        yield pop
    finally:
        pop.close()


def enter(pop: poplib.POP3, user: str, password: str, *, utf8: bool = False) -> None:
    if utf8:
        pop.utf8()
    pop.user(user)
    pop.pass_(password)


def read(pop: poplib.POP3, number: int) -> bytes:
    return b"".join(line + b"\r\n" for line in pop.retr(number)[1])


def test_every_message_is_read_byte_for_byte(real_server: RealServer) -> None:
    """RETR of each message returns exactly what `stored` says."""
    with session(real_server) as pop:
        assert pop.stat()[0] == len(real_server.stored) == len(real_server.mails)
        assert len(pop.list()[1]) == len(real_server.stored)
        for number, wanted in enumerate(real_server.stored, 1):
            assert read(pop, number) == wanted, real_server.mails[number - 1]
        pop.quit()


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_messages_are_the_same_over_tls(real_server: RealServer, security: str) -> None:
    """Implicit TLS and STLS are verified with the authority, and the messages are the same."""
    feature = {"starttls": "stls", "tls": "tls"}[security]
    if feature not in real_server.features:
        assert real_server.ca is None
        return
    with session(real_server, security) as pop:
        for number in (1, 2, 3, len(real_server.stored)):
            assert read(pop, number) == real_server.stored[number - 1]
        pop.quit()


def test_every_message_has_a_uid(real_server: RealServer) -> None:
    """UIDL lists a uid for each message; they are unique if the feature `unique-uids` says so."""
    with session(real_server) as pop:
        uids = [line.split(b" ", 1)[1] for line in pop.uidl()[1]]
    assert len(uids) == len(real_server.stored)
    assert (len(set(uids)) == len(uids)) == ("unique-uids" in real_server.features)


def test_capabilities_are_as_claimed(real_server: RealServer) -> None:
    """The features and mechanisms are those that CAPA lists before login, without and with TLS."""
    names = {
        "login-delay",
        "pipelining",
        "resp-codes",
        "auth-resp-code",
        "sasl",
        "stls",
        "top",
        "uidl",
        "user",
        "utf8",
    }
    with session(real_server, login=False) as pop:
        if "capa" not in real_server.features:
            assert not names & real_server.features - {"top", "uidl", "user"}
            with pytest.raises(poplib.error_proto):
                pop.capa()
            return
        listed = pop.capa()
        pop.quit()
    assert {name.lower() for name in listed} & names == real_server.features & names
    assert frozenset(listed.get("SASL", ())) == real_server.mechanisms
    if "tls" in real_server.features:
        with session(real_server, "tls", login=False) as pop:
            assert frozenset(pop.capa().get("SASL", ())) == real_server.tls_mechanisms
            pop.quit()


def test_deletions_affect_one_user(real_server: RealServer) -> None:
    """A fresh user has the whole mailbox; DELE and QUIT delete messages only for that user."""
    first, second = real_server.fresh_user(), real_server.fresh_user()
    assert first.user != second.user
    with session(real_server, login=False) as pop:
        enter(pop, *first)
        assert pop.stat()[0] == len(real_server.stored)
        for number in (1, 3, len(real_server.stored)):
            pop.dele(number)
        pop.quit()
    left = [raw for number, raw in enumerate(real_server.stored, 1) if number not in (1, 3, len(real_server.stored))]
    with session(real_server, login=False) as pop:
        enter(pop, *first, utf8="utf8" in real_server.features)
        assert pop.stat()[0] == len(left)
        assert [read(pop, number) for number in range(1, 6)] == left[:5]
        pop.quit()
    for user, password in (second, (real_server.user, real_server.password)):
        with session(real_server, login=False) as pop:
            enter(pop, user, password)
            assert pop.stat()[0] == len(real_server.stored)
            pop.quit()


def test_a_dropped_connection_deletes_nothing(real_server: RealServer) -> None:
    """Without QUIT, messages marked as deleted stay (RFC 1939 §6)."""
    user, password = real_server.fresh_user()
    with session(real_server, login=False) as pop:
        enter(pop, user, password)
        pop.dele(1)
    with session(real_server, login=False) as pop:
        enter(pop, user, password)
        assert pop.stat()[0] == len(real_server.stored)
        pop.quit()


def test_a_wrong_password_is_refused(real_server: RealServer) -> None:
    """A wrong password gets -ERR, with [AUTH] if the server advertises AUTH-RESP-CODE."""
    with session(real_server, login=False) as pop:
        pop.user(real_server.user)
        with pytest.raises(poplib.error_proto) as refusal:
            pop.pass_("not the password")
    assert (b"[AUTH]" in refusal.value.args[0]) == ("auth-resp-code" in real_server.features)


def test_messages_are_the_same_on_each_run() -> None:
    """The seed is computed: names are unique, and the bytes never change."""
    assert len({mail.name for mail in mails()}) == len(mails()) >= 50
    digest = hashlib.sha256(b"".join(b"%d:%s" % (len(mail.raw), mail.raw) for mail in mails())).hexdigest()
    assert digest == "68761f672f6221a6e3215d8fe670482c3d27835fd6001f275cbd58a180e0c813"


def test_dovecot_holds_a_lock(dovecot_with: Callable[..., RealServer]) -> None:
    """With `lock_session`, a session holds the lock of the mailbox until QUIT."""
    server = dovecot_with(lock_session=True)
    user, password = server.fresh_user()
    lock = server.log.parent / "mail" / user / "Maildir" / "dovecot-pop3-session.lock"
    with session(server, login=False) as holder:
        enter(holder, user, password)
        assert os.path.lexists(lock)
        holder.quit()
    assert not os.path.lexists(lock)


@pytest.mark.slow
def test_dovecot_refuses_a_second_session(dovecot_with: Callable[..., RealServer]) -> None:
    """With `lock_session`, the second session of a user is refused with [IN-USE] after about 12 s."""
    server = dovecot_with(lock_session=True)
    assert "in-use" in server.features
    user, password = server.fresh_user()
    with session(server, login=False) as holder, session(server, login=False) as late:
        enter(holder, user, password)
        late.user(user)
        with pytest.raises(poplib.error_proto, match="IN-USE"):
            late.pass_(password)
        holder.quit()


def test_apop_works_as_claimed(real_server: RealServer) -> None:
    """APOP works if it is among the features; otherwise the greeting has no timestamp."""
    with session(real_server, login=False) as pop:
        if "apop" in real_server.features:
            pop.apop(real_server.user, real_server.password)
            assert pop.stat()[0] == len(real_server.stored)
        else:
            assert b"<" not in pop.getwelcome()
        pop.quit()


def test_cyrus_stores_what_was_delivered(cyrus: RealServer) -> None:
    """It adds fields at the top and replaces Return-Path; the rest is the delivered message."""
    for mail, stored in zip(cyrus.mails, cyrus.stored, strict=True):
        sent = taken(mail.raw).removeprefix(b"Return-Path: <alice@example.org>\r\n")
        assert stored.endswith(sent), mail


def test_cyrus_delays_logins(real_servers: Servers) -> None:
    """With `minimum_poll`, the second login of a user is refused with [LOGIN-DELAY]."""
    server = real_servers.get("cyrus", minimum_poll=10, fresh_users=1, mails=mails()[:2])
    user, password = server.fresh_user()
    with session(server, login=False) as pop:
        enter(pop, user, password)
        pop.quit()
    with session(server, login=False) as pop, pytest.raises(poplib.error_proto, match="LOGIN-DELAY"):
        enter(pop, user, password)


def exchange(connection: socket.socket, *lines: bytes) -> list[bytes]:
    """Send one line after the other; return the greeting and the first line of each reply."""
    with connection.makefile("rb") as reader:
        replies = [reader.readline()]
        for line in lines:
            connection.sendall(line + b"\r\n")
            replies.append(reader.readline())
    return replies


def test_dovecot_validates_tokens(dovecot: RealServer) -> None:
    """OAUTHBEARER accepts a token of `jwt`, but not if it is expired or signed with another key."""

    def attempt(token: str) -> bytes:
        response = base64.b64encode(f"n,a={dovecot.user},\x01auth=Bearer {token}\x01\x01".encode())
        with socket.create_connection((dovecot.host, dovecot.port), PATIENCE) as connection:
            return exchange(connection, b"AUTH OAUTHBEARER " + response)[-1]

    assert attempt(jwt(dovecot.user)).startswith(b"+OK")
    assert not attempt(jwt(dovecot.user, lifetime=-60)).startswith(b"+OK")
    assert not attempt(jwt(dovecot.user, key=b"another")).startswith(b"+OK")


def test_dovecot_accepts_the_client_certificate(dovecot: RealServer) -> None:
    """EXTERNAL works with `client_certificate`, and fails without it."""
    assert dovecot.ca is not None
    assert dovecot.tls_port is not None
    for certificate in (dovecot.client_certificate, None):
        context = trusting(dovecot.ca, certificate)
        with (
            socket.create_connection((dovecot.host, dovecot.tls_port), PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname=dovecot.host) as connection,
        ):
            reply = exchange(connection, b"AUTH EXTERNAL =")[-1]
        assert reply.startswith(b"+OK") == (certificate is not None)


def test_dovecot_has_a_master_user(dovecot: RealServer) -> None:
    """The master's password opens any user's mailbox."""
    with session(dovecot, login=False) as pop:
        enter(pop, f"{dovecot.user}*{MASTER.user}", MASTER.password)
        assert pop.stat()[0] == len(dovecot.stored)
        pop.quit()


def test_dovecot_refuses_plaintext(dovecot_with: Callable[..., RealServer]) -> None:
    """With `disable_plaintext_auth`, USER without TLS from another loopback address is refused."""
    server = dovecot_with(disable_plaintext_auth=True)
    with socket.create_connection((server.host, server.port), PATIENCE, source_address=("127.0.0.2", 0)) as connection:
        assert exchange(connection, b"USER tester")[-1].startswith(b"-ERR")


def test_dovecot_settings_take_effect(dovecot_with: Callable[..., RealServer]) -> None:
    """`uidl_format` sets the format of uids, `accounts` adds users, `extra` overrides other settings."""
    server = dovecot_with(uidl_format="%u", accounts={"me@example.com": "two words"}, extra="login_greeting = hello")
    with session(server, login=False) as pop:
        assert b"hello" in pop.getwelcome()
        enter(pop, "me@example.com", "two words")
        assert pop.uidl()[1][:2] == [b"1 1", b"2 2"]
        pop.quit()


def test_a_server_that_cannot_start_says_why(dovecot_with: Callable[..., RealServer]) -> None:
    """The error contains the server's own message."""
    with pytest.raises(ServerFailedError, match="no_such_setting"):
        dovecot_with(extra="no_such_setting = 1")


def test_dovecot_hides_mechanisms_without_tls(dovecot_with: Callable[..., RealServer]) -> None:
    """With ssl="required", CAPA names the mechanisms only inside TLS."""
    server = dovecot_with(ssl="required")
    with (
        socket.create_connection((server.host, server.port), PATIENCE, source_address=("127.0.0.2", 0)) as connection,
        connection.makefile("rb") as reader,
    ):
        reader.readline()
        connection.sendall(b"CAPA\r\n")
        assert b"SASL\r\n" in iter(reader.readline, b".\r\n")
    with session(server, "tls", login=False) as pop:
        assert frozenset(pop.capa()["SASL"]) == server.tls_mechanisms
        enter(pop, server.user, server.password)
        pop.quit()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere ports cannot be held")
def test_ports_are_held() -> None:
    """The system does not assign chosen ports to programs that ask for any port, but a server can still bind them."""
    with held_ports(2) as ports, ExitStack() as stack:
        assert len(set(ports)) == 2
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", port))) for port in ports]
        assert [listener.getsockname()[1] for listener in listeners] == list(ports)
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", ports[0]))
    with held_ports(1) as (port,), socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))  # nor would the system assign it for port 0


@pytest.mark.parametrize("name", ["dovecot", "popa3d"])
def test_servers_die_with_the_tests(real_servers: Servers, name: str) -> None:
    """If the tests are killed, no process that they started is left."""
    real_servers.get(name)  # or skip
    script = (
        "import os, sys; from tests.servers import SERVERS; from tests.servers.processes import descendants\n"
        "with SERVERS[sys.argv[1]]() as server:\n"
        "    print(server.log.parent, *(n for one in descendants(os.getpid()) for n in one), flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tests:
        assert tests.stdout is not None
        assert select.select([tests.stdout], [], [], GENEROUS)[0], "it prints nothing"
        directory, *numbers = tests.stdout.readline().split()
        family = [Process(int(pid), int(began)) for pid, began in zip(numbers[::2], numbers[1::2], strict=True)]
        assert any(one.alive for one in family)  # not all, because popa3d's forks end with their connections
        tests.kill()
    try:
        eventually(lambda: not any(one.alive for one in family))
    finally:
        shutil.rmtree(directory)
