"""The test server behaves as RFC 1939 and its extensions require, seen through a plain socket and through poplib."""

import poplib
import socket
import subprocess
import sys
import threading
import uuid
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymailbox.testing import Server, client_socket
from tests import case
from tests.replay import WatchedClock
from tests.testing.by_hand import LOGIN, MAILS, Hand, is_gone, settle, talk, threads_left, trust
from tests.timing import GENEROUS, ended


def test_it_imports_nothing_else_from_pymailbox() -> None:
    """Client and server must not share framing, because they would share its bugs."""
    code = (
        "import sys, pymailbox.testing\n"
        "print(*(m for m in sys.modules if m.startswith('pymailbox.') and not m.startswith('pymailbox.testing')))\n"
        "print(*(m for m in ('trustme', 'scramp', 'cryptography', 'pytest') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=GENEROUS)
    assert done.stdout.split() == []


def test_poplib_reads_and_deletes() -> None:
    """Every command of the standard library's client works."""
    with Server(MAILS) as server:
        pop = poplib.POP3(server.host, server.port, timeout=GENEROUS)
        pop.user("me")
        pop.pass_("secret")
        assert pop.stat() == (3, sum(map(len, MAILS)))
        assert pop.list()[1] == [b"%d %d" % (n, len(mail)) for n, mail in enumerate(MAILS, 1)]
        assert b"\r\n".join(pop.retr(1)[1]) + b"\r\n" == MAILS[0]
        assert pop.top(1, 1)[1][-1] == b".dotted"
        assert "UIDL" in pop.capa()
        pop.dele(2)
        pop.quit()
        assert server.messages == (MAILS[0], MAILS[2])
        settle(server)
        assert server.sessions[0].ended == "QUIT"
        assert server.sessions[0].deleted == (2,)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.binary(max_size=200) | st.lists(st.sampled_from([b".", b"\r\n", b"\n", b"\r", b"x"])).map(b"".join),
        max_size=4,
    )
)
def test_messages_are_served_byte_for_byte(mails: list[bytes]) -> None:
    """RFC 1939 §3: after removing dot-stuffing, the client has what was stored, plus a final CRLF if it was missing."""
    with Server(mails) as server, Hand(server) as hand:
        hand.login()
        for number, mail in enumerate(mails, 1):
            whole = mail if mail.endswith(b"\r\n") or not mail else mail + b"\r\n"
            assert hand.ask(b"LIST %d" % number) == b"+OK %d %d\r\n" % (number, len(whole))
            status = hand.ask(b"RETR %d" % number)
            assert status.startswith(b"+OK")
            lines = []
            while (line := hand.until()) != b".\r\n":
                lines.append(line[1:] if line.startswith(b".") else line)
            assert b"".join(lines) == whole
            assert server.messages[number - 1] == whole
        assert hand.ask(b"QUIT").startswith(b"+OK")


def test_nothing_is_deleted_without_quit() -> None:
    """RFC 1939 §6: a connection that ends without QUIT commits nothing, and unlocks the mailbox at once."""
    with Server(MAILS, lock_wait=GENEROUS) as server:
        for _ in range(3):
            with Hand(server) as hand:
                hand.login()
                assert hand.ask(b"DELE 1").startswith(b"+OK")
        assert server.messages == MAILS
        settle(server)
        assert [session.ended for session in server.sessions] == ["EOF"] * 3


def test_rset_brings_deleted_messages_back() -> None:
    """A message marked as deleted cannot be read and is not counted or listed until RSET (RFC 1939 §5)."""
    with Server(MAILS) as server, Hand(server) as hand:
        hand.login()
        assert hand.ask(b"DELE 1") == b"+OK marked\r\n"
        for command in (b"RETR 1", b"TOP 1 0", b"LIST 1", b"UIDL 1", b"DELE 1"):
            assert hand.ask(command).startswith(b"-ERR")
        assert hand.ask(b"STAT") == b"+OK 2 %d\r\n" % (len(MAILS[1]) + len(MAILS[2]))
        assert hand.listing(b"LIST") == b"+OK\r\n2 %d\r\n3 %d\r\n.\r\n" % (len(MAILS[1]), len(MAILS[2]))
        assert hand.listing(b"UIDL").startswith(b"+OK\r\n2 ")
        assert hand.ask(b"RSET").startswith(b"+OK")
        assert hand.ask(b"STAT") == b"+OK 3 %d\r\n" % sum(map(len, MAILS))


WRONG = (
    b"RETR|RETR 0|RETR 4|RETR -1|RETR x|RETR 1 2|RETR \xb2|RETR 99999999999999999999999999999999999999|"
    b"TOP 1|TOP 1 x|TOP 9 0|LIST 0|UIDL 0|DELE 0|DELE|STAT 1|RSET 1|NOOP 1|CAPA x|QUIT now|USER me|"
    b"UTF8|STLS|LANG xx|XYZZY|"
).split(b"|")


def test_wrong_commands_are_refused() -> None:
    """A wrong argument or an unknown verb gets -ERR, and the session goes on."""
    with Server(MAILS, lock_wait=GENEROUS) as server:
        for command in WRONG:
            with case(command), Hand(server) as hand:
                hand.login()
                assert hand.ask(command).startswith(b"-ERR ")
                assert hand.ask(b"noop") == b"+OK still here\r\n"


def test_mail_can_be_read_only_after_login() -> None:
    """No command of the TRANSACTION state works before login."""
    with Server(MAILS) as server:
        for command in (b"STAT", b"RETR 1", b"DELE 1", b"TOP 1 0", b"UIDL", b"LIST", b"RSET", b"NOOP"):
            with case(command), Hand(server) as hand:
                hand.until()
                assert hand.ask(command) == b"-ERR log in first\r\n"
                assert hand.ask(b"QUIT") == b"+OK bye\r\n"
                assert hand.rest() == b""


def test_top_returns_the_header_and_the_requested_lines() -> None:
    """TOP n k returns the header, the blank line and k lines of the body (RFC 1939 §7)."""
    with Server([*MAILS, b"\r\nonly a body\r\n", b"No: body\r\n"]) as server, Hand(server) as hand:
        hand.login()
        head = b"+OK\r\nSubject: first\r\nMessage-ID: <1@x>\r\n\r\n"
        assert hand.listing(b"TOP 1 0") == head + b".\r\n"
        assert hand.listing(b"TOP 1 1") == head + b"..dotted\r\n.\r\n"
        assert (
            hand.listing(b"TOP 1 3")
            == hand.listing(b"TOP 1 999999999999")
            == head + b"..dotted\r\nline 2\r\nline 3\r\n.\r\n"
        )
        assert hand.listing(b"TOP 4 0") == b"+OK\r\n\r\n.\r\n"
        assert hand.listing(b"TOP 5 0") == b"+OK\r\nNo: body\r\n.\r\n"


def test_uids_are_stable_unique_and_never_reused() -> None:
    """RFC 1939 §7: a message has the same uid in all sessions; identical messages have different uids; a deleted uid is not reused."""
    with Server([b"same\r\n", b"same\r\n"]) as server:
        with Hand(server) as hand:
            first, second = hand.login().listing(b"UIDL").split(b"\r\n")[1:3]
            assert first[2:] != second[2:]
            hand.send(b"DELE 1", b"QUIT")
            hand.rest()
        server.deliver(b"same\r\n")
        with Hand(server) as hand:
            lines = hand.login().listing(b"UIDL").split(b"\r\n")[1:3]
            assert lines[0][2:] == second[2:]
            assert lines[1][2:] not in (first[2:], second[2:])


def test_a_session_is_a_snapshot() -> None:
    """New mail appears only in the next session."""
    with Server(MAILS) as server:
        with Hand(server) as hand:
            hand.login()
            server.deliver(b"new\r\n")
            assert hand.ask(b"STAT").startswith(b"+OK 3 ")
            hand.ask(b"QUIT")
        with Hand(server) as hand:
            assert hand.login().ask(b"STAT").startswith(b"+OK 4 ")


def test_a_mailbox_allows_one_session_at_a_time() -> None:
    """The second session gets [IN-USE] (RFC 2449 §8.1.1), and can log in after the first has ended."""
    with Server(MAILS, lock_wait=0.05) as server, Hand(server) as first, Hand(server) as second:
        first.login()
        second.until()
        second.ask(b"USER me")
        assert second.ask(b"PASS secret").startswith(b"-ERR [IN-USE] ")
        assert first.ask(b"QUIT") == b"+OK bye\r\n"
        second.ask(b"USER me")
        assert second.ask(b"PASS secret").startswith(b"+OK")
    with Server(MAILS, lock=False) as server, Hand(server) as first, Hand(server) as second:
        first.login()
        second.login()
        first.send(b"DELE 1", b"QUIT")
        first.rest()
        assert second.ask(b"RETR 1").startswith(b"-ERR")
        assert second.ask(b"RETR 2").startswith(b"+OK")


def test_each_user_has_a_separate_mailbox() -> None:
    """Each user gets the same mail, and deletes only their own copy."""
    with Server(MAILS, users={"a": "1", "b": "2"}) as server:
        assert talk(server, b"DELE 1", b"QUIT", login=(b"USER b", b"PASS 2")).endswith(b"+OK marked\r\n+OK bye\r\n")
        assert server.messages == server.mailbox("a") == MAILS
        assert server.mailbox("b") == MAILS[1:]
        with pytest.raises(KeyError):
            server.mailbox("c")


def test_capabilities_follow_the_options() -> None:
    """CAPA lists what works, and features that are switched off do not work."""
    with Server(
        pipelining=False, uidl=False, top=False, utf8=False, lang={}, expire="", sasl=(), login_delay=60
    ) as server:
        with Hand(server) as hand:
            hand.login()
            assert hand.listing(b"CAPA").split(b"\r\n")[1:-2] == [
                b"RESP-CODES",
                b"AUTH-RESP-CODE",
                b"USER",
                b"LOGIN-DELAY 60",
                b"IMPLEMENTATION pymailbox.testing",
            ]
            for command in (b"UIDL", b"TOP 1 0", b"LANG"):
                assert hand.ask(command).startswith(b"-ERR")
            hand.ask(b"QUIT")
        assert b"-ERR [LOGIN-DELAY] " in talk(server, b"QUIT")
    with Server(capabilities=["ONE", "TWO 2"]) as server, Hand(server) as hand:
        hand.until()
        assert hand.listing(b"CAPA") == b"+OK capabilities follow\r\nONE\r\nTWO 2\r\n.\r\n"


def test_lang_and_utf8_are_answered() -> None:
    """RFC 6856 §3: LANG lists the languages, chooses one, and refuses others; UTF8 works before login."""
    with Server() as server, Hand(server) as hand:
        hand.until()
        assert hand.listing(b"LANG") == b"+OK languages follow\r\nen English\r\nde Deutsch\r\n.\r\n"
        assert hand.ask(b"LANG DE").startswith(b"+OK de ")
        assert hand.ask(b"LANG *").startswith(b"+OK en ")
        assert hand.ask(b"UTF8") == b"+OK UTF8 enabled\r\n"


def test_the_log_hides_secrets() -> None:
    """The log has all commands in order, without passwords and digests unless `log_secrets` is True."""
    for shown in (False, True):
        with Server(MAILS, log_secrets=shown, apop=True) as server:
            talk(
                server,
                b"RETR 1",
                b"QUIT",
                login=(
                    b"USER me",
                    b"APOP me 0123",
                    b"AUTH PLAIN AGZvbwBiYXI=",
                    b"AUTH PLAIN",
                    b"AGZvbwBiYXI=",
                    b"USER me",
                    b"PASS secret",
                ),
            )
            hidden = (
                "USER me",
                "APOP me ***",
                "AUTH PLAIN ***",
                "AUTH PLAIN",
                "***",
                "USER me",
                "PASS ***",
                "RETR 1",
                "QUIT",
            )
            plain = (
                "USER me",
                "APOP me 0123",
                "AUTH PLAIN AGZvbwBiYXI=",
                "AUTH PLAIN",
                "AGZvbwBiYXI=",
                "USER me",
                "PASS secret",
                "RETR 1",
                "QUIT",
            )
            assert server.log == server.sessions[0].commands == (plain if shown else hidden)
            assert server.sessions[0].user == "me"
    assert "hunter2" not in repr(Server(password="hunter2", users={"me": "hunter2"}, token="hunter2"))


def test_a_command_ends_at_lf_or_crlf() -> None:
    """A bare LF ends a command; an unfinished line is not executed; a line that is too long closes the connection."""
    with Server(MAILS) as server:
        with Hand(server) as hand:
            hand.login()
            hand.sock.sendall(b"NOOP\nNO")
            assert hand.until() == b"+OK still here\r\n"
            assert hand.silent()
            hand.sock.sendall(b"OP\r\n")
            assert hand.until() == b"+OK still here\r\n"
        with Hand(server) as hand:
            hand.login()
            hand.sock.sendall(b"DELE 1\r\nQUIT")
        settle(server)
        assert server.messages == MAILS
        with Hand(server) as hand:
            hand.until()
            hand.sock.sendall(b"x" * 100_000)
            assert hand.rest() == b""
        settle(server)
        assert server.sessions[-1].ended == "command line too long"


def test_a_thousand_pipelined_commands_are_answered_in_order() -> None:
    """PIPELINING: every message arrives, in the order of the commands."""
    mails = [b"Subject: %d\r\n\r\nbody\r\n" % n for n in range(1000)]
    with Server(mails) as server:
        replies = talk(server, *(b"RETR %d" % n for n in range(1, 1001)), b"QUIT")
        assert replies.split(b"\r\n.\r\n")[:-1][-1].endswith(b"Subject: 999\r\n\r\nbody")
        assert [int(part.partition(b"\r\n")[0]) for part in replies.split(b"Subject: ")[1:]] == list(range(1000))


@pytest.mark.parametrize("security", ["none", "tls"])
def test_two_full_buffers_do_not_deadlock(security: str) -> None:
    """RFC 2449 §6.8: the server serves a client that writes everything before it reads, however much waits on both sides."""
    mails = [b"x" * 1000 + b"\r\n"] * 20
    with Server(mails, security=security) as server, Hand(server, trust(server)) as hand:
        hand.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        hand.login()
        hand.sock.sendall(b"RETR 7\r\n" * 300_000)  # more than the system buffers for a server that does not read
        got = 0
        while got < 1_000_000:
            got += len(hand.some(1 << 20))


def test_close_does_not_wait_for_stuck_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """close() does not wait for a client that never reads, sends or does the handshake, and leaves no thread."""
    monkeypatch.setattr(client_socket, "_LINGER", 3600.0)
    before = threading.enumerate()
    mails = [b"x" * 100_000 + b"\r\n"]
    hands = []
    for security in ("none", "tls"):
        with Server(mails, security=security) as server:
            silent = Hand(server)
            hands.append(silent)
            if security == "none":
                greedy = Hand(server).login()
                hands.append(greedy)
                greedy.send(*[b"RETR 1"] * 200)
        assert silent.rest() in (b"", b"+OK pymailbox test server ready\r\n")
    assert not threads_left(before)
    for hand in hands:
        hand.sock.close()


def test_latency_delays_but_does_not_limit_throughput(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data is delayed by the latency each way; 2000 commands in one write take one round trip, not 2000."""
    mails = [b"Subject: %d\r\n\r\nbody\r\n" % n for n in range(2000)]
    clock = WatchedClock()
    monkeypatch.setattr(client_socket, "monotonic", clock)
    with Server(mails, latency=0.05) as server, Hand(server) as hand:
        hand.send(*LOGIN, *(b"TOP %d 0" % n for n in range(1, 2001)), b"QUIT")
        found = hand.arrivals(clock, 0.05)
    assert found[0] == b""
    assert found[1] in (b"", b"+OK pymailbox test server ready\r\n")  # the commands have only now arrived there
    assert b"".join(found).count(b"Subject: ") == 2000
    assert len(found) < 20


def test_autologout_commits_nothing() -> None:
    """A silent client is logged out, and nothing is committed."""
    for autologout in (0.2, 2.0, GENEROUS):
        with Server(MAILS, autologout=autologout) as server, Hand(server) as hand:
            hand.send(*LOGIN, b"DELE 1")
            got = hand.rest()
            if b"+OK marked" not in got and autologout < GENEROUS:
                continue  # logged out before it sent anything, because this machine is busy
            assert got.endswith(b"+OK 3 messages\r\n+OK marked\r\n-ERR idle for too long\r\n")
            assert server.sessions[0].ended == "idle"
            assert server.messages == MAILS
            return


@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_mailbox_can_have_many_messages(count: int) -> None:
    """A mailbox with many messages can be opened, listed and read."""
    mails = [b"Subject: %d\r\n\r\n" % n for n in range(count)]
    with Server(mails) as server, Hand(server) as hand:
        hand.login()
        assert hand.ask(b"STAT").startswith(b"+OK %d " % count)
        assert hand.listing(b"LIST").count(b"\r\n") == count + 2
        assert hand.listing(b"UIDL").count(b"\r\n") == count + 2
        assert b"Subject: %d\r\n" % (count - 1) in hand.listing(b"RETR %d" % count)
        hand.send(*(b"DELE %d" % n for n in range(1, count // 2 + 1)), b"QUIT")
        assert hand.rest().count(b"+OK") == count // 2 + 1
        assert len(server.messages) == count // 2


def test_many_clients_are_served_at_once() -> None:
    """Sessions of several users run concurrently."""
    users = {f"user{n}": "x" for n in range(20)}
    with Server(MAILS, users=users) as server:
        done: Counter[bool] = Counter()

        def read(user: str) -> None:
            done[
                talk(server, b"RETR 1", b"QUIT", login=(f"USER {user}".encode(), b"PASS x")).endswith(b"+OK bye\r\n")
            ] += 1

        threads = [threading.Thread(target=read, args=(user,)) for user in users]
        for thread in threads:
            thread.start()
        ended(*threads)
        assert done == {True: 20}


def test_misuse_is_a_value_error() -> None:
    """Using a server that is not open, opening it twice, or asking for what it does not have is ValueError."""
    server = Server(MAILS, greeting=uuid.uuid4().hex)
    with pytest.raises(ValueError, match="never opened"):
        _ = server.messages
    with server:
        with pytest.raises(ValueError, match="already open"):
            server.open()
        with pytest.raises(ValueError, match="no CA"):
            server.client_context()
        assert server.url == f"pop://me@127.0.0.1:{server.port}"
    server.close()
    assert is_gone(server)
    assert server.messages == MAILS
    with pytest.raises(ValueError, match="does not support the SASL mechanism GUESSING"):
        Server(sasl=("GUESSING",)).open()


def test_arguments_of_the_wrong_type_are_type_errors() -> None:
    """A message instead of a list, messages that are not bytes, and flags that are neither True nor False are TypeError."""
    wrong: list[Any] = [b"Subject: 1\r\n\r\n", bytearray(b"x"), 7, None]
    for source in wrong:
        with case(source), pytest.raises(TypeError, match="source must be a list of messages or a path"):
            Server(source)
    for mails in (["text"], [7], [MAILS]):
        with case(mails), pytest.raises(TypeError, match="a message must be bytes, not"):
            Server(mails).open()  # type: ignore[arg-type]
    for flag in ("commit", "pipelining", "uidl", "top", "utf8", "apop", "plaintext", "lock", "log_secrets"):
        for value in ("no", 0, None):
            with case(flag, value), pytest.raises(TypeError, match=f"{flag} must be True or False"):
                Server(MAILS, **{flag: value})
