"""The real servers do what `tests.servers` claims of them, as the standard library's poplib sees it.

What the other tests take for granted (the mails, the features, the mechanisms, fresh mailboxes) is proved here without
a line of pymailbox.
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
    """poplib gives up on lines over 2,048 octets; mails have longer ones."""
    monkeypatch.setattr(poplib, "_MAXLINE", 1 << 20)


@contextmanager
def session(server: RealServer, security: str = "none", *, login: bool = True) -> Iterator[poplib.POP3]:
    """A poplib session that is closed whatever happens, logged in as the shared user."""
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


def test_every_mail_is_read_to_the_octet(real_server: RealServer) -> None:
    """RETR of each message gives exactly what `stored` says."""
    with session(real_server) as pop:
        assert pop.stat()[0] == len(real_server.stored) == len(real_server.mails)
        assert len(pop.list()[1]) == len(real_server.stored)
        for number, wanted in enumerate(real_server.stored, 1):
            assert read(pop, number) == wanted, real_server.mails[number - 1]
        pop.quit()


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_mails_are_the_same_through_tls(real_server: RealServer, security: str) -> None:
    """Both ways into TLS are verified against the authority, and the mails are the same behind it."""
    feature = {"starttls": "stls", "tls": "tls"}[security]
    if feature not in real_server.features:
        assert real_server.ca is None
        return
    with session(real_server, security) as pop:
        for number in (1, 2, 3, len(real_server.stored)):
            assert read(pop, number) == real_server.stored[number - 1]
        pop.quit()


def test_identities(real_server: RealServer) -> None:
    """UIDL gives one for each message; `unique-uids` claims that no two are equal."""
    with session(real_server) as pop:
        uids = [line.split(b" ", 1)[1] for line in pop.uidl()[1]]
    assert len(uids) == len(real_server.stored)
    assert (len(set(uids)) == len(uids)) == ("unique-uids" in real_server.features)


def test_capabilities_are_as_claimed(real_server: RealServer) -> None:
    """The features and mechanisms are those that CAPA lists before login, in the clear and inside TLS."""
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


def test_deletions_are_of_one_user(real_server: RealServer) -> None:
    """A fresh user has the whole mailbox, DELE and QUIT shorten it for them and for nobody else."""
    first, second = real_server.fresh_user(), real_server.fresh_user()
    assert first.user != second.user
    with session(real_server, login=False) as pop:
        enter(pop, *first)
        assert pop.stat()[0] == len(real_server.stored)
        for number in (1, 3, len(real_server.stored)):
            pop.dele(number)
        pop.quit()
    left = [
        octets for number, octets in enumerate(real_server.stored, 1) if number not in (1, 3, len(real_server.stored))
    ]
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
    """Without QUIT the marks are forgotten (RFC 1939 §6)."""
    user, password = real_server.fresh_user()
    with session(real_server, login=False) as pop:
        enter(pop, user, password)
        pop.dele(1)
    with session(real_server, login=False) as pop:
        enter(pop, user, password)
        assert pop.stat()[0] == len(real_server.stored)
        pop.quit()


def test_wrong_password_is_refused(real_server: RealServer) -> None:
    """A wrong password is -ERR, with [AUTH] where the server announces AUTH-RESP-CODE."""
    with session(real_server, login=False) as pop:
        pop.user(real_server.user)
        with pytest.raises(poplib.error_proto) as refusal:
            pop.pass_("not the password")
    assert (b"[AUTH]" in refusal.value.args[0]) == ("auth-resp-code" in real_server.features)


def test_mails_are_the_same_on_each_run() -> None:
    """The seed is arithmetic: names are unique, octets never change."""
    assert len({mail.name for mail in mails()}) == len(mails()) >= 50
    digest = hashlib.sha256(b"".join(b"%d:%s" % (len(mail.raw), mail.raw) for mail in mails())).hexdigest()
    assert digest == "68761f672f6221a6e3215d8fe670482c3d27835fd6001f275cbd58a180e0c813"


def test_dovecot_holds_a_lock(dovecot_with: Callable[..., RealServer]) -> None:
    """With `lock_session` a session holds the mailbox's lock, which is gone after QUIT."""
    server = dovecot_with(lock_session=True)
    user, password = server.fresh_user()
    lock = server.log.parent / "mail" / user / "Maildir" / "dovecot-pop3-session.lock"
    with session(server, login=False) as holder:
        enter(holder, user, password)
        assert os.path.lexists(lock)
        holder.quit()
    assert not os.path.lexists(lock)


@pytest.mark.slow
def test_dovecot_locks(dovecot_with: Callable[..., RealServer]) -> None:
    """With `lock_session` the second session of a user is refused with [IN-USE], after some 12 s."""
    server = dovecot_with(lock_session=True)
    assert "in-use" in server.features
    user, password = server.fresh_user()
    with session(server, login=False) as holder, session(server, login=False) as late:
        enter(holder, user, password)
        late.user(user)
        with pytest.raises(poplib.error_proto, match="IN-USE"):
            late.pass_(password)
        holder.quit()


def test_apop(real_server: RealServer) -> None:
    """APOP lets the user in where it is claimed; elsewhere the greeting has no timestamp."""
    with session(real_server, login=False) as pop:
        if "apop" in real_server.features:
            pop.apop(real_server.user, real_server.password)
            assert pop.stat()[0] == len(real_server.stored)
        else:
            assert b"<" not in pop.getwelcome()
        pop.quit()


def test_cyrus_stores_what_was_delivered(cyrus: RealServer) -> None:
    """Its fields stand on top, and what follows is the mail, but for the Return-Path it makes itself."""
    for mail, octets in zip(cyrus.mails, cyrus.stored, strict=True):
        sent = taken(mail.raw).removeprefix(b"Return-Path: <alice@example.org>\r\n")
        assert octets.endswith(sent), mail


def test_cyrus_delays_logins(real_servers: Servers) -> None:
    """With `minimum_poll` the second login of a user is refused with [LOGIN-DELAY]."""
    server = real_servers.get("cyrus", minimum_poll=10, fresh_users=1, mails=mails()[:2])
    user, password = server.fresh_user()
    with session(server, login=False) as pop:
        enter(pop, user, password)
        pop.quit()
    with session(server, login=False) as pop, pytest.raises(poplib.error_proto, match="LOGIN-DELAY"):
        enter(pop, user, password)


def exchange(connection: socket.socket, *lines: bytes) -> list[bytes]:
    """Send one line after the other and return the first reply line to each, the greeting's before them."""
    with connection.makefile("rb") as reader:
        replies = [reader.readline()]
        for line in lines:
            connection.sendall(line + b"\r\n")
            replies.append(reader.readline())
    return replies


def test_dovecot_validates_tokens(dovecot: RealServer) -> None:
    """A token of `jwt` lets its user in by OAUTHBEARER; an expired one and one signed by another key do not."""

    def attempt(token: str) -> bytes:
        response = base64.b64encode(f"n,a={dovecot.user},\x01auth=Bearer {token}\x01\x01".encode())
        with socket.create_connection((dovecot.host, dovecot.port), PATIENCE) as connection:
            return exchange(connection, b"AUTH OAUTHBEARER " + response)[-1]

    assert attempt(jwt(dovecot.user)).startswith(b"+OK")
    assert not attempt(jwt(dovecot.user, lifetime=-60)).startswith(b"+OK")
    assert not attempt(jwt(dovecot.user, key=b"another")).startswith(b"+OK")


def test_dovecot_takes_the_client_certificate(dovecot: RealServer) -> None:
    """EXTERNAL with `client_certificate` is the shared user; without it, nobody."""
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


def test_dovecot_master_user(dovecot: RealServer) -> None:
    """The master's password opens anybody's mailbox."""
    with session(dovecot, login=False) as pop:
        enter(pop, f"{dovecot.user}*{MASTER.user}", MASTER.password)
        assert pop.stat()[0] == len(dovecot.stored)
        pop.quit()


def test_dovecot_refuses_plaintext(dovecot_with: Callable[..., RealServer]) -> None:
    """With `disable_plaintext_auth`, USER from another loopback address is refused in the clear."""
    server = dovecot_with(disable_plaintext_auth=True)
    with socket.create_connection((server.host, server.port), PATIENCE, source_address=("127.0.0.2", 0)) as connection:
        assert exchange(connection, b"USER tester")[-1].startswith(b"-ERR")


def test_dovecot_uidl_format_and_accounts(dovecot_with: Callable[..., RealServer]) -> None:
    """`uidl_format` shapes the identities, `accounts` adds users, `extra` wins over the rest."""
    server = dovecot_with(uidl_format="%u", accounts={"me@example.com": "two words"}, extra="login_greeting = hello")
    with session(server, login=False) as pop:
        assert b"hello" in pop.getwelcome()
        enter(pop, "me@example.com", "two words")
        assert pop.uidl()[1][:2] == [b"1 1", b"2 2"]
        pop.quit()


def test_a_server_that_cannot_start_says_why(dovecot_with: Callable[..., RealServer]) -> None:
    """A failed start carries the server's own words, and leaves no process."""
    with pytest.raises(ServerFailedError, match="no_such_setting"):
        dovecot_with(extra="no_such_setting = 1")


def test_dovecot_no_plaintext_without_tls(dovecot_with: Callable[..., RealServer]) -> None:
    """With ssl="required" the names of the mechanisms are hidden in the clear, and there behind TLS."""
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
    """Ports that were chosen are given to nobody who takes any, and stay free for whoever asks for them."""
    with held_ports(2) as ports, ExitStack() as stack:
        assert len(set(ports)) == 2
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", port))) for port in ports]
        assert [listener.getsockname()[1] for listener in listeners] == list(ports)
        with pytest.raises(OSError, match="in use"):
            socket.create_server(("127.0.0.1", ports[0]))
    with held_ports(1) as (port,), socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))  # nor does a search for any port give it away


@pytest.mark.parametrize("name", ["dovecot", "popa3d"])
def test_servers_die_with_the_tests(real_servers: Servers, name: str) -> None:
    """When the tests are killed, nothing they started stays behind."""
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
        assert any(one.alive for one in family)  # popa3d forks for each connection, and those end
        tests.kill()
    try:
        eventually(lambda: not any(one.alive for one in family))
    finally:
        shutil.rmtree(directory)
