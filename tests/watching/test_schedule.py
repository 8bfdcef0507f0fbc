"""Which errors of a look are tried again, when, and how often; the same over both drivers."""

import logging
import socket
import threading

import pytest

from pymailbox import AuthenticationError, ConnectionLost, LoginDelay, MailboxError, MailboxLocked, NotSupported
from pymailbox.errors import ProtocolError, TemporaryFailure, Timeout
from pymailbox.testing import Fault, Server
from pymailbox.watching.schedule import Schedule
from tests import case
from tests.timing import ended
from tests.watching.conftest import Opener
from tests.watching.watches import Time, account_of, mail

PASSING = [
    Fault.refuse("PASS", text="[IN-USE] locked"),
    Fault.refuse("PASS", text="[SYS/TEMP] try later"),
    Fault.refuse("PASS", text="[LOGIN-DELAY] too soon"),
    Fault.refuse("UIDL", text="[SYS/TEMP] busy"),
    Fault.drop("STAT"),
    Fault.drop("GREETING"),
    Fault.refuse("GREETING", text="[SYS/TEMP] full"),
]


def server_with(*faults: Fault, **options: object) -> Server:
    """Return a server whose users log in with USER and PASS."""
    return Server(sasl=(), faults=faults, **options)  # type: ignore[arg-type]


def in_session(fault: Fault, session: int) -> Fault:
    """Return a fault for one session."""
    from attrs import evolve

    return evolve(fault, session=session)


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.command} {fault.kind}")
def test_what_may_pass_is_tried_again(watch_of: Opener, fault: Fault, caplog: pytest.LogCaptureFixture) -> None:
    """Each failure is logged as a warning that says when the next look is, which is within the back-off."""
    faults = [in_session(fault, session) for session in range(2, 6)]
    with server_with(*faults) as server, watch_of(account_of(server), 60) as watch:
        server.deliver(mail("one"))
        assert watch.next().subject == "one"
        assert len(server.sessions) == 6
        for number, (wait, record) in enumerate(zip(watch.time.waits, caplog.records, strict=True)):
            assert 0 <= wait <= 4 * 2**number
            assert (record.name, record.levelno) == ("pymailbox.watching", logging.WARNING)
            assert f"looking again in {wait:.0f} s" in record.message
            assert record.message.startswith(f"pop://me@127.0.0.1:{server.port}: ")


def test_for_ever_and_at_most_every_fifteen_minutes(watch_of: Opener) -> None:
    """The back-off grows to 15 minutes and no further; a success starts it anew."""
    faults = [in_session(PASSING[0], session) for session in [*range(2, 62), 63]]
    with server_with(*faults) as server, watch_of(account_of(server), 60) as watch:
        server.deliver(mail("one"))
        assert watch.next().subject == "one"
        waits = watch.time.waits
        assert len(waits) == 60
        assert all(wait <= min(900, 4 * 2**number) for number, wait in enumerate(waits))
        assert max(waits[10:]) > 450
        assert min(waits[10:]) < 450, "full jitter spreads the clients of a server that was away"
        server.deliver(mail("two"))
        assert watch.next().subject == "two"
        assert waits[60] == 60
        assert waits[61] <= 4


def test_retry_after_goes_first(watch_of: Opener) -> None:
    """What the server says is waited for, no less and no more, and is its LOGIN-DELAY from then on."""
    faults = [Fault.refuse("PASS", text="[LOGIN-DELAY] wait 200 seconds", session=2)]
    with server_with(*faults) as server, watch_of(account_of(server), 60) as watch:
        server.deliver(mail("one"))
        assert watch.next().subject == "one"
        assert watch.time.waits == [200]
        with pytest.raises(TimeoutError):
            watch.wait(timeout=500)
        assert watch.time.waits == [200, 200, 200, 100]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.command} {fault.kind}")
def test_login_delay_holds_after_a_failure(watch_of: Opener, fault: Fault) -> None:
    """The server may count a login that it refused, or whose session it cut: none follows sooner than LOGIN-DELAY."""
    faults = [in_session(fault, session) for session in range(2, 6)]
    capabilities = ["UIDL", "TOP", "USER", "LOGIN-DELAY 300"]
    with server_with(*faults, capabilities=capabilities) as server, watch_of(account_of(server), 60) as watch:
        server.deliver(mail("one"))
        assert watch.next().subject == "one"
        assert watch.time.waits == [300] * 5


def test_login_delay_holds_after_a_look_without_an_end() -> None:
    """Such as one that was cancelled, or interrupted by Ctrl-C, when the server had just accepted the login."""
    time = Time()
    schedule = Schedule(60.0, "me", lambda: time.now)
    schedule.begin()
    schedule.logged_in(300)
    schedule.succeeded()
    time.now = schedule.due
    schedule.begin()
    assert schedule.due == time.now + 300


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.refuse("PASS", text="[AUTH] wrong"), AuthenticationError),
        (Fault.replace("STAT", reply=b"nonsense\r\n"), ProtocolError),
        (Fault.refuse("PASS", text="[SYS/PERM] broken"), MailboxError),
    ],
    ids=["login", "protocol", "permanent"],
)
def test_other_errors_are_raised_at_once(watch_of: Opener, fault: Fault, error: type[MailboxError]) -> None:
    """Iterating again looks again, no sooner than after any other look."""
    with server_with(in_session(fault, 2), in_session(fault, 3)) as server, watch_of(account_of(server), 60) as watch:
        server.deliver(mail("one"))
        for waits in ([], [60]):
            with pytest.raises(error):
                watch.next()
            assert watch.time.waits == waits
        assert watch.next().subject == "one"
        assert watch.time.waits == [60, 60]


def test_a_login_that_may_be_wrong(watch_of: Opener) -> None:
    """If the server hangs up on it, it is tried again after 15 minutes, three times, and then raised."""
    faults = [Fault.drop("PASS", session=session) for session in range(2, 11)]
    with server_with(*faults) as server, watch_of(account_of(server), 60) as watch:
        server.deliver(mail("one"))
        for more in (0, 1):
            with pytest.raises(ConnectionLost, match="login may be wrong"):
                watch.next()
            assert watch.time.waits == [900] * (3 + 4 * more)
            assert len(server.sessions) == 1 + 4 * (1 + more)
        assert watch.next().subject == "one"
        assert watch.time.waits == [900] * 9


def test_on_entering_a_minute_and_five_tries(watch_of: Opener) -> None:
    """Errors that may pass are tried five times, with at most a minute of waits, and then raised."""
    for fault, error in ((PASSING[0], MailboxLocked), (PASSING[1], TemporaryFailure), (PASSING[5], ConnectionLost)):
        four = (in_session(fault, session) for session in range(1, 5))
        with server_with(*four) as server, watch_of(account_of(server)) as watch:
            assert len(watch.time.waits) == 4
        with server_with(*(in_session(fault, session) for session in range(1, 6))) as server:
            with pytest.raises(error), watch_of(account_of(server)):
                pass
            assert len(server.sessions) == 5
            assert sum(watch_of.time.waits) <= 60


@pytest.mark.parametrize(("seconds", "tries"), [(14, 5), (25, 3), (60, 2), (61, 1), (900, 1)])
def test_on_entering_a_long_retry_after_is_not_waited_for(watch_of: Opener, seconds: int, tries: int) -> None:
    """If the server wants more than the minute, the error says so at once."""
    fault = Fault.refuse("PASS", text=f"[LOGIN-DELAY] wait {seconds} seconds")
    with server_with(fault) as server:
        with pytest.raises(LoginDelay) as caught, watch_of(account_of(server)):
            pass
        assert caught.value.retry_after == seconds
        assert len(server.sessions) == tries
        assert watch_of.time.waits == [seconds] * (tries - 1)


@pytest.mark.parametrize(("seconds", "tries"), [(25, 3), (61, 1), (900, 1)])
def test_on_entering_login_delay_counts_as_a_wait(watch_of: Opener, seconds: int, tries: int) -> None:
    """If no other look is allowed within the minute, the error of the one that failed is raised at once."""
    capabilities = ["UIDL", "TOP", "USER", f"LOGIN-DELAY {seconds}"]
    with server_with(Fault.drop("UIDL"), capabilities=capabilities) as server:
        server.deliver(mail("old"))
        with pytest.raises(ConnectionLost), watch_of(account_of(server)):
            pass
        assert len(server.sessions) == tries
        assert watch_of.time.waits == [pytest.approx(seconds)] * (tries - 1)


def test_on_entering_a_refused_or_doubtful_login_is_raised(watch_of: Opener) -> None:
    """At once: a script with a wrong password must not lock the account."""
    for fault, error in ((Fault.refuse("PASS"), AuthenticationError), (Fault.drop("PASS"), ConnectionLost)):
        with server_with(fault) as server:
            with pytest.raises(error), watch_of(account_of(server)):
                pass
            assert len(server.sessions) == 1
            assert watch_of.time.waits == []


def test_an_unknown_host(watch_of: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Raised at once on entering; later, and if it was only not found for the moment, it is tried again."""
    find = socket.getaddrinfo
    failures: list[int] = []

    def fail(*arguments: object, **options: object) -> object:
        if failures:
            raise socket.gaierror(failures.pop(), "not found")
        return find(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with Server() as server:
        failures = [socket.EAI_NONAME]
        with pytest.raises(ConnectionLost, match="cannot find"), watch_of(account_of(server)):
            pass
        assert watch_of.time.waits == []
        failures = [socket.EAI_AGAIN]
        with watch_of(account_of(server)) as watch:
            assert len(watch.time.waits) == 1
            failures = [socket.EAI_NONAME]
            server.deliver(mail("one"))
            assert watch.next().subject == "one"


def test_the_timeout_of_a_wait_names_the_failure(watch_of: Opener) -> None:
    """If looks are failing, TimeoutError has the last error as its cause; the back-off outlasts the call."""
    faults = [in_session(PASSING[0], session) for session in range(2, 40)]
    with server_with(*faults) as server, watch_of(account_of(server), 60) as watch:
        for _ in range(100):
            with pytest.raises(TimeoutError, match="the last look failed: another session holds the mailbox") as caught:
                watch.wait(timeout=30)
            assert isinstance(caught.value.__cause__, MailboxLocked)
        assert len(server.sessions) < 30


def test_a_row_of_failures_may_go_on_in_another_thread() -> None:
    """The library counts for each thread; a watch counts for itself."""
    schedule = Schedule(60, "me", Time())  # type: ignore[arg-type] # not called

    def fail() -> None:
        for _ in range(3):
            schedule.failed(Timeout("silence"))

    schedule.clock = lambda: 0.0
    schedule.entering = False
    fail()
    errors: list[BaseException] = []

    def other() -> None:
        try:
            fail()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    ended(thread)
    assert errors == []
    assert schedule.due <= 4 * 2**5


def test_without_the_library(watch_of: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Making a watch says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "tenacity", None)
    with Server() as server, pytest.raises(NotSupported, match=r"pip install 'pymailbox\[watch\]'"):
        watch_of(account_of(server))


def test_misuse(watch_of: Opener) -> None:
    """ValueError or TypeError at once, before anything is connected."""
    with Server() as server, socket.socket() as sock:
        account = account_of(server)
        wrong: list[tuple[tuple[object, ...], dict[str, object], type[Exception]]] = [
            ((server.url,), {}, TypeError),
            ((account, 0), {}, ValueError),
            ((account, -1), {}, ValueError),
            ((account, float("nan")), {}, ValueError),
            ((account, float("inf")), {}, ValueError),
            ((account, True), {}, TypeError),
            ((account, "60"), {}, TypeError),
            ((account, 60, 5), {}, TypeError),
            ((account, 60, b"state"), {}, TypeError),
            ((account, 60, ""), {}, ValueError),
            ((account,), {"sock": sock}, ValueError),
            ((account,), {"read_only": False}, ValueError),
            ((account,), {"timeout": 0}, ValueError),
            ((account,), {"tiemout": 5}, TypeError),
        ]
        for arguments, options, error in wrong:
            with case(arguments, options), pytest.raises(error):
                watch_of(*arguments, **options)  # type: ignore[arg-type]
        watch = watch_of(account)
        for use in (watch.next, watch.wait):
            with pytest.raises(ValueError, match="not open"):
                use()
        with watch:
            for arguments, options, error in (
                (("code",), {}, TypeError),
                ((), {"timeout": "5"}, TypeError),
                ((), {"timeout": -1}, ValueError),
                ((), {"timeout": float("nan")}, ValueError),
            ):
                with case(arguments, options), pytest.raises(error):
                    watch.wait(*arguments, **options)
            with pytest.raises(TypeError, match="cannot be pickled"):
                watch.watch.__reduce__()
        with pytest.raises(ValueError, match="not open"):
            watch.next()
