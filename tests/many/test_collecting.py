"""`collect_all`: an outcome for each account, over any executor, whatever happens to the others."""

import asyncio
import hashlib
import itertools
import multiprocessing
import os
import pickle
import random
import re
import ssl
import subprocess
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from unittest import mock
from urllib.parse import unquote

import pytest
from attrs import define, field
from hypothesis import example, given
from hypothesis import strategies as st

from pymailbox import (
    Account,
    Archive,
    ArchiveLocked,
    AsyncMailbox,
    AuthenticationError,
    ConnectionLost,
    Keep,
    Limits,
    LoginDelay,
    MailboxError,
    MailboxLocked,
    OAuth2,
    Outcome,
    PasswordCommand,
    PermanentFailure,
    Progress,
    TemporaryFailure,
    Timeout,
    collect_all,
    gather_accounts,
)
from pymailbox.archive import Collected
from pymailbox.archive.archive import account_name
from pymailbox.many import collecting
from pymailbox.testing import Fault, Server
from tests import ROOT, case
from tests.many.servers import MAILS, PASSWORD, USERS, accounts_of, hosts, processes, referring
from tests.session_counts import SessionCount
from tests.timing import GENEROUS, eventually

# --- the schedule --------------------------------------------------------------------------------

CLOSED = "a message that nobody reads"


def scripted(*users: str, host: str = "pop.example.com") -> list[Account]:
    """Return accounts that no server has."""
    return [Account(host, user, "secret") for user in users]


@define(eq=False)
class World(ThreadPoolExecutor):
    """An executor, and its clock, without threads or time: each reading of the clock ends some work or advances time.

    `script` has the results of an account's tries, one after the other; the last one is repeated.
    """

    script: dict[str, list[Collected | Exception]]
    per_host: int = 4
    chance: random.Random = field(factory=lambda: random.Random(0))
    now: float = 0.0
    running: dict[Future[Collected], Account] = field(factory=dict)
    tries: Counter[str] = field(factory=Counter)
    #: When an account may be tried again.
    earliest: dict[str, float] = field(factory=dict)
    pauses: list[float] = field(factory=list)
    shut: bool = False

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        account = args[2]
        name = account_name(account)
        assert not self.shut
        assert self.now >= self.earliest.get(name, 0.0), "tried again too early"
        if name in self.earliest:
            self.pauses.append(self.now - self.earliest[name])
        self.tries[name] += 1
        future: Future[Collected] = Future()
        self.running[future] = account
        hosts = Counter(one.host.lower().rstrip(".") for one in self.running.values())
        assert max(hosts.values()) <= self.per_host, "too many sessions of a host"
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.shut = True

    def __call__(self) -> float:
        if self.running and self.chance.random() < 0.7:
            self.end(self.chance.choice(list(self.running)))
        else:
            self.now += self.chance.choice((0.0, 0.1, 5.0))
        return self.now

    def end(self, future: Future[Collected]) -> None:
        name = account_name(self.running.pop(future))
        script = self.script[name]
        result = script[min(self.tries[name], len(script)) - 1]
        if isinstance(result, Collected):
            future.set_result(result)
            return
        pause = getattr(result, "retry_after", None)
        self.earliest[name] = self.now + (7.5 if pause is None else pause)
        future.set_exception(result)


@contextmanager
def without_time(world: World) -> Iterator[World]:
    """Have `collect_all` read the clock of that world, and wait for nothing else."""
    with mock.patch.object(collecting, "_clock", world), mock.patch.object(collecting, "_LOOK", 0.0):
        yield world


def final(script: list[Collected | Exception]) -> Collected | Exception:
    """Return how an account ends: the first success, the first error that does not pass, or the third one."""
    for number in range(3):
        result = script[min(number, len(script) - 1)]
        if (
            isinstance(result, Collected)
            or not isinstance(result, MailboxError)
            or isinstance(result, AuthenticationError)
        ):
            return result
        if not (result.retryable if result.retry_after is None else result.retry_after <= 3600):
            return result
    return result


RESULTS = st.one_of(
    st.builds(Collected, new=st.integers(0, 9), bytes=st.integers(0, 999)),
    st.sampled_from(
        [
            lambda: AuthenticationError("wrong"),
            lambda: AuthenticationError("wrong", retryable=True, retry_after=1.0),
            lambda: MailboxLocked("in use"),
            lambda: LoginDelay("too soon", retry_after=0.0),
            lambda: LoginDelay("too soon", retry_after=300.0),
            lambda: LoginDelay("too soon", retry_after=86_400.0),
            lambda: TemporaryFailure("busy"),
            lambda: PermanentFailure("broken"),
            lambda: ConnectionLost("refused"),
            lambda: ConnectionLost("the login may be wrong", retryable=False, retry_after=900.0),
            lambda: Timeout("silence"),
            lambda: ArchiveLocked("another run"),
            lambda: OSError("no such directory"),
            lambda: ValueError("the variable is not set"),
        ]
    ).map(lambda make: make()),
)


@given(
    scripts=st.lists(st.tuples(st.sampled_from("abc"), st.lists(RESULTS, min_size=1, max_size=4)), max_size=25),
    per_host=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_every_account_has_one_outcome(
    scripts: list[tuple[str, list[Collected | Exception]]], per_host: int, seed: int
) -> None:
    """Whatever ends how and when: one outcome each, per_host is kept, three tries at most, no try is early."""
    accounts = [Account(host.upper() if i % 2 else host + ".", f"u{i}", "x") for i, (host, _) in enumerate(scripts)]
    script = {account_name(account): result for account, (_, result) in zip(accounts, scripts, strict=True)}
    with without_time(World(script, per_host, random.Random(seed))) as world:
        outcomes = list(collect_all(accounts, "nowhere", executor=world, per_host=per_host))
    assert not world.shut
    assert not world.running
    assert sorted(account_name(outcome.account) for outcome in outcomes) == sorted(script)
    for outcome in outcomes:
        name = account_name(outcome.account)
        assert (outcome.error or outcome.result) is final(script[name])
        assert (outcome.error is None) == isinstance(final(script[name]), Collected)
        assert world.tries[name] <= 3


def test_accounts_that_wait_are_last() -> None:
    """While an account waits to be tried again, the others go on; it is then tried soon."""
    delayed, *others = accounts = scripted(*(f"u{number}" for number in range(30)))
    script: dict[str, list[Collected | Exception]] = {account_name(one): [Collected()] for one in others}
    script[account_name(delayed)] = [LoginDelay("too soon", retry_after=900.0), Collected(new=1)]
    with without_time(World(script)) as world:
        *before, last = collect_all(accounts, "nowhere", executor=world)
    assert [outcome.account for outcome in before] != []
    assert last == Outcome(delayed, Collected(new=1))
    assert world.now >= 900
    assert world.pauses[0] <= 0.1 * 900 + 60


def test_an_account_that_may_be_tried_again_is_next() -> None:
    """It does not wait until all others of its host have had their turn."""
    delayed, *others = accounts = scripted(*(f"u{number}" for number in range(30)))
    order: list[str] = []

    class Ordered(World):
        def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
            order.append(account_name(args[2]))
            return super().submit(*args, **kwargs)

    script: dict[str, list[Collected | Exception]] = {account_name(one): [Collected()] for one in others}
    script[account_name(delayed)] = [LoginDelay("too soon", retry_after=0.0), Collected()]
    with without_time(Ordered(script, per_host=1)) as world:
        assert len(list(collect_all(accounts, "nowhere", executor=world, per_host=1))) == 30
    assert account_name(delayed) in order[1:4]


def test_progress_counts_what_arrived_before_another_try() -> None:
    """What a failed try has brought stays counted, and the next one begins at 0."""

    class Reporting(World):
        def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
            kwargs["progress"](Progress(10, 20, 1, 2))
            return super().submit(*args, **kwargs)

    (account,), reports = scripted("me"), list[Progress]()
    script: dict[str, list[Collected | Exception]] = {
        account_name(account): [LoginDelay("too soon", retry_after=0.0), Collected(new=2, bytes=20)]
    }
    with without_time(Reporting(script)) as world:
        list(collect_all([account], "nowhere", executor=world, progress=reports.append))
    assert reports[-1] == Progress(30, 30, 3, 3)
    assert [one.bytes for one in reports] == sorted(one.bytes for one in reports)


def test_hosts_take_turns() -> None:
    """A host whose accounts never end has at most per_host in flight, and all accounts of the others end."""
    slow, others = scripted(*"abcdefgh", host="slow"), [Account(f"h{n}", "me", "x") for n in range(50)]

    class Slow(World):
        def end(self, future: Future[Collected]) -> None:
            if self.running[future].host != "slow":
                super().end(future)

    script: dict[str, list[Collected | Exception]] = {account_name(one): [Collected()] for one in others}
    with without_time(Slow(script)) as world:
        outcomes = collect_all([*slow, *others], "nowhere", executor=world)
        ended = [next(outcomes).account for _ in others]
        assert sorted(one.host for one in ended) == sorted(one.host for one in others)
        assert len(world.running) == 4
        running = list(world.running)
        with mock.patch("concurrent.futures.wait"):  # they would be waited for, as they are threads
            outcomes.close()  # type: ignore[attr-defined]  # a generator
    assert all(future.cancelled() for future in running)


def test_leaving_early_submits_nothing_more() -> None:
    """After a break nothing is submitted, and what had not begun is cancelled; the executor goes on."""
    accounts = [Account(f"h{n}", "me", "x") for n in range(50)]
    with without_time(World({account_name(one): [Collected()] for one in accounts})) as world:
        outcomes = collect_all(accounts, "nowhere", executor=world, per_host=1)
        next(outcomes)
        submitted = sum(world.tries.values())
        outcomes.close()  # type: ignore[attr-defined]  # a generator
        assert all(future.cancelled() for future in world.running)
        assert sum(world.tries.values()) == submitted
        assert not world.shut


def test_nothing_is_retried_on_a_broken_executor() -> None:
    """When it breaks, or cannot take work, every account still has an outcome: that error, without another try."""
    accounts = [Account(f"h{n}", "me", "x") for n in range(20)]

    class Broken(World):
        def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
            if sum(self.tries.values()) == 5:
                raise BrokenProcessPool("a process died")
            return super().submit(*args, **kwargs)

    script: dict[str, list[Collected | Exception]] = {
        account_name(one): [ConnectionLost("refused")] for one in accounts
    }
    with without_time(Broken(script)) as world:
        reports: list[Progress] = []  # with progress the clock is read while nothing can begin
        outcomes = list(collect_all(accounts, "nowhere", executor=world, progress=reports.append))
    assert len(outcomes) == 20
    assert max(world.tries.values()) == 1
    assert Counter(type(outcome.error) for outcome in outcomes)[BrokenProcessPool] >= 15
    with ThreadPoolExecutor() as pool:
        pass
    outcomes = list(collect_all(accounts, "nowhere", executor=pool))
    assert [type(outcome.error) for outcome in outcomes] == [RuntimeError] * 20


def test_a_cancelled_account_has_that_outcome() -> None:
    """An executor that drops its work gives outcomes, too."""

    class Dropping(World):
        def end(self, future: Future[Collected]) -> None:
            del self.running[future]
            future.cancel()

    with without_time(Dropping({})) as world:
        outcomes = list(collect_all(scripted("a", "b"), "nowhere", executor=world))
    assert [type(outcome.error).__name__ for outcome in outcomes] == ["CancelledError"] * 2


# --- arguments -----------------------------------------------------------------------------------


def test_wrong_arguments_are_refused_at_once(tmp_path: Path) -> None:
    """TypeError or ValueError from the call itself, even without accounts; nothing is connected or made on disk."""
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"tiemout": 3}, TypeError, "tiemout"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"security": "ssl"}, ValueError, "security"),
        ({"per_host": 0}, ValueError, "per_host must be 1 or more"),
        ({"per_host": True}, TypeError, "per_host must be a whole number"),
        ({"executor": 4}, TypeError, "concurrent.futures.Executor"),
        ({"keep": 30}, TypeError, "keep must be a Keep"),
        ({"keep": Keep(days=1), "read_only": True}, ValueError, "read_only"),
        ({"progress": 3}, TypeError, "progress"),
        ({"sock": object()}, ValueError, "sock"),
        ({"root": ""}, ValueError, "path must not be empty"),
        ({"root": None}, TypeError, "NoneType"),
        ({"root": "mail\0"}, ValueError, "path must not contain NUL"),
    ]
    with Server(MAILS, users=USERS) as server:
        for accounts in (accounts_of(server), []):
            for changes, error, match in wrong:
                arguments = {"root": tmp_path / "root", **changes}
                with case(changes), pytest.raises(error, match=match):
                    collect_all(accounts, **arguments)
        for items in (["pops://me@pop.example.com"], [None], Account("h", "me", "x")):
            with case(items), pytest.raises(TypeError):
                collect_all(items, tmp_path / "root")  # type: ignore[arg-type]
        assert server.sessions == ()
    assert list(collect_all([], tmp_path / "root")) == []
    assert not (tmp_path / "root").exists()


def test_an_account_that_is_refused_is_named() -> None:
    """The error of an invalid account says where it is in the list, and never shows its password."""

    async def work(inbox: AsyncMailbox) -> None:
        raise AssertionError

    nobody, literal = Account("pop.example.com", password="s3cret"), cast(Account, "pops://me:s3cret@pop.example.com")
    for wrong, note in (
        (nobody, "while checking accounts[2] (@pop.example.com)"),
        (literal, "while checking accounts[2]"),
    ):
        accounts = [*scripted("me", "you"), wrong]
        calls: tuple[Callable[[list[Account]], object], ...] = (
            lambda given: collect_all(given, "nowhere"),
            lambda given: asyncio.run(gather_accounts(given, work)),
        )
        for call in calls:
            with case(wrong), pytest.raises((TypeError, ValueError)) as caught:
                call(accounts)
            assert caught.value.__notes__ == [note]
            assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_an_account_twice_is_refused() -> None:
    """User and host make an account, whatever port, password or spelling of the host."""
    for other in (
        Account("pop.example.com", "me", "y"),
        Account("POP.example.com.", "me", "x", security="none", port=8110),
    ):
        with pytest.raises(ValueError, match=r"two accounts for 'me@pop\.example\.com'"):
            collect_all([*scripted("me", "you"), other], "nowhere")
    collect_all(scripted("me", "Me"), "nowhere")


def test_what_cannot_be_pickled_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    """An ssl_context or a literal token for all is ValueError; an account with a secret of its own has that outcome."""

    class Elsewhere(Executor):
        """An executor that is not of threads; it must be given nothing."""

    elsewhere = Elsewhere()
    with pytest.raises(ValueError, match=r"ssl_context cannot .* SSL_CERT_FILE .* ThreadPoolExecutor"):
        collect_all([], tmp_path, executor=elsewhere, ssl_context=ssl.create_default_context())
    with pytest.raises(ValueError, match=r"its token would be missing .* OAuth2\(reference\)"):
        collect_all([], tmp_path, executor=elsewhere, auth=OAuth2("a token"))
    accounts = [
        Account("h", "text", "hunter2"),
        Account("h", "bytes", b"hunter2"),
        Account("h", "callable", lambda: "hunter2"),
        Account("h", "token", auth=OAuth2("hunter2")),
        pickle.loads(pickle.dumps(Account("h", "again", PASSWORD))),
    ]
    reports: list[Progress] = []
    found = collect_all(accounts, tmp_path / "r", executor=elsewhere, progress=reports.append)
    outcomes = {outcome.account.user: outcome for outcome in itertools.islice(found, len(accounts))}
    assert reports[-1] == Progress(0, 0, 0, 0)  # before the last outcome
    assert isinstance(outcomes.pop("again").error, NotImplementedError)  # that one was submitted
    assert len(outcomes) == 4
    for outcome in outcomes.values():
        assert isinstance(outcome.error, ValueError)
        assert "use a reference (PasswordCommand, PasswordEnv" in str(outcome)
        assert "hunter2" not in f"{outcome} {outcome!r}"
    assert not (tmp_path / "r").exists()


# --- names of directories ------------------------------------------------------------------------

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=()) | st.sampled_from("aA.%~@-ß/\\: "), max_size=12)


@pytest.mark.parametrize(
    ("name", "directory"),
    [
        ("me@pop.example.com", "me@pop.example.com"),
        ("me+news@example.com@pop.example.com", "me+news@example.com@pop.example.com"),
        ("Me@pop.example.com", "%4de@pop.example.com"),
        ("@pop.example.com", "@pop.example.com"),
        ("a/b\\c@h", "a%2fb%5cc@h"),
        ("..@h", "%2e.@h"),
        ("-rf@h", "%2drf@h"),
        ("con.x@h", "%63on.x@h"),
        ("constance.x@h", "constance.x@h"),
        ("müller@h", "m%c3%bcller@h"),
        ("me@::1", "me@%3a%3a1"),
        ("50%@h", "50%25@h"),
    ],
)
def test_directories_are_readable(name: str, directory: str) -> None:
    """A plain name is its own directory; anything else is percent-encoded."""
    assert collecting._directory_name(name) == directory


@given(NAMES, st.integers(0, 300))
@example("a" * 128, 0)
@example("a" * 129, 0)
def test_a_directory_is_safe_and_names_one_account(user: str, repeat: int) -> None:
    """Only lower-case letters, digits and `@._+-%~`, no leading dot, no device, and the name can be read from it."""
    name = f"{user * max(1, repeat)}@pop.example.com"
    directory = collecting._directory_name(name)
    assert set(directory) <= set("abcdefghijklmnopqrstuvwxyz0123456789@._+-%~")
    assert directory[0] not in ".-"
    assert directory[-1] != "."
    assert len(directory) <= 128
    assert directory.partition(".")[0] not in ("con", "prn", "aux", "nul", "com1", "lpt1")
    if "~" in directory:
        assert len(directory) == 128
        assert directory.endswith(hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest())
    else:
        assert unquote(directory, errors="surrogatepass") == name


# --- accounts of test servers --------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ten seconds pass with each look at the clock."""
    now = iter(range(0, 10**9, 10))
    monkeypatch.setattr(collecting, "_clock", lambda: float(next(now)))
    monkeypatch.setattr(collecting, "_LOOK", 0.02)


def contents(root: Path) -> dict[str, list[str]]:
    """Return the hashes of what is in each archive."""
    found = {}
    for path in root.iterdir():
        with Archive(path) as archive:
            assert archive.verify()
            found[path.name] = sorted(record.sha256 for record in archive)
    return found


HASHES = sorted(hashlib.sha256(raw).hexdigest() for raw in MAILS)


def dask(**options: Any) -> Iterator[Executor]:
    """Yield an executor of a cluster of one worker on this machine, with two threads."""
    distributed = pytest.importorskip("distributed", reason="pip install 'pymailbox[test]'")
    local = {"host": "127.0.0.1", "protocol": "tcp", "dashboard_address": "127.0.0.1:0"}
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, **local, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client.get_executor()


EXECUTORS: dict[str, Callable[[], Iterator[Executor | None]]] = {
    "default": lambda: iter([None]),
    "threads": lambda: iter([ThreadPoolExecutor(8)]),
    "processes": processes,
    "dask": lambda: dask(processes=True),
    "dask in this process": lambda: dask(processes=False),
}


@pytest.mark.parametrize("kind", EXECUTORS)
def test_the_same_archives_by_any_executor(kind: str, tmp_path: Path) -> None:
    """Each account has its archive, whoever does the work, and at most per_host sessions of a host are open at once."""
    with hosts(2, 6) as servers:
        counts = [SessionCount() for _ in servers]
        for count, server in zip(counts, servers, strict=True):
            count.watch(server)
        accounts, reports = referring(*servers), list[Progress]()
        running = EXECUTORS[kind]()
        executor = next(running)
        try:
            found = list(collect_all(accounts, tmp_path, executor=executor, per_host=2, progress=reports.append))
            again = list(
                collect_all(accounts, tmp_path, executor=executor, per_host=2, timeout=GENEROUS, limits=Limits())
            )
        finally:
            next(running, None)
        assert sorted(map(str, found)) == sorted(
            f"{account_name(one)}: 3 new, 60 B; 0 known; nothing deleted" for one in accounts
        )
        assert {str(one.result) for one in again} == {"0 new, 0 B; 3 known; nothing deleted"}
        assert contents(tmp_path) == {account_name(one): HASHES for one in accounts}
        assert [count.now for count in counts] == [0, 0]
        assert all(1 <= count.most <= 2 for count in counts)
        assert reports[-1] == Progress(12 * 60, 12 * 60, 36, 36)
        assert [one.bytes for one in reports] == sorted(one.bytes for one in reports)


@pytest.mark.parametrize("kind", ["default", "processes", "dask"])
def test_bad_accounts_do_not_stop_the_others(kind: str, tmp_path: Path, quick: None) -> None:
    """One refuses, one is locked, one has a LOGIN-DELAY, one is dead: their outcomes say so, and the rest is complete."""
    delays = [Fault.refuse("AUTH", text="[LOGIN-DELAY] wait 40 seconds", session=1)]
    with hosts(1, 5, lock_wait=0) as (server,), hosts(1, 1, faults=delays) as (delaying,):
        good = referring(server)
        locked = good.pop()
        assert locked.user is not None
        server.maildrop(locked.user).lock.acquire()
        refusing = Account(server.host, "nobody", PASSWORD, security="none", port=server.port)
        delayed = Account("localhost", "user0", PASSWORD, security="none", port=delaying.port)
        dead = Account("127.0.0.9", "me", PASSWORD, security="none", port=server.port)
        accounts = [refusing, locked, delayed, dead, *good]
        running = EXECUTORS[kind]()
        executor = next(running)
        try:
            found = {one.account: one for one in collect_all(accounts, tmp_path, executor=executor)}
        finally:
            next(running, None)
        assert len(found) == len(accounts)
        for account in (*good, delayed):
            assert str(found[account].result) == "3 new, 60 B; 0 known; nothing deleted"
            assert contents(tmp_path)[account_name(account)] == HASHES
        assert isinstance(found[refusing].error, AuthenticationError)
        assert isinstance(found[locked].error, MailboxLocked)
        assert found[locked].error.code == "IN-USE"
        assert isinstance(found[dead].error, ConnectionLost)
        assert [found[one].result for one in (refusing, locked, dead)] == [None] * 3
        server.wait(GENEROUS)
        assert len(delaying.sessions) == 1 + 2  # a run ends with a session that brings nothing new
        assert len(server.sessions) == 2 * len(good) + 1 + 3


def test_an_archive_in_use_is_tried_again(tmp_path: Path, quick: None) -> None:
    """While another run has the lock, the account waits; it is collected once the lock is free."""
    with hosts(1, 1) as (server,):
        (account,) = referring(server)
        with Archive(tmp_path / account_name(account)) as archive, archive._writing(dry_run=False):
            (outcome,) = collect_all([account], tmp_path)
            assert isinstance(outcome.error, ArchiveLocked)
            assert server.sessions == ()
        (outcome,) = collect_all([account], tmp_path)
        assert outcome.error is None


def test_a_host_is_a_name_not_a_port(tmp_path: Path) -> None:
    """Servers on several ports of one host share its limit."""
    with Server(MAILS, users={"a": "1", "b": "1"}) as one, Server(MAILS, users={"c": "1", "d": "1"}) as two:
        count = SessionCount()
        count.watch(one, two)
        assert all(
            outcome.error is None for outcome in collect_all(accounts_of(one) + accounts_of(two), tmp_path, per_host=1)
        )
        assert count.most == 1


@pytest.mark.parametrize("threads", [None, 5])
def test_a_slow_host_leaves_threads_to_the_others(threads: int | None, tmp_path: Path) -> None:
    """While a host says nothing, all accounts of another one complete, with fewer threads than accounts."""
    with hosts(2, 12) as (other, server):
        other.close()
        with (
            Server(MAILS, host=other.host, users=other.users, faults=[Fault.stall(0)]) as stalled,
            ThreadPoolExecutor(threads) as pool,
        ):
            outcomes = collect_all(
                [*referring(stalled), *referring(server)], tmp_path, executor=pool if threads else None
            )
            ended = [next(outcomes) for _ in range(12)]
            assert {outcome.account.host for outcome in ended} == {server.host}
            assert len(stalled.sessions) == 4
            stalled.close()  # which ends the runs that wait for it
            outcomes.close()  # type: ignore[attr-defined]  # a generator


@pytest.mark.parametrize("own", [True, False])
def test_leaving_early_ends_the_runs_of_threads(own: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a break, runs end before their next message, and are waited for; what they stored is whole."""
    mails = [b"Subject: %d\r\n\r\n" % number + b"x" * 2000 + b"\r\n" for number in range(400)]
    running, collect = list[Path](), collecting.collect

    def counted(path: Path, *args: Any, **kwargs: Any) -> Collected:
        running.append(path)
        try:
            return collect(path, *args, **kwargs)
        finally:
            running.remove(path)

    monkeypatch.setattr(collecting, "collect", counted)
    with (
        Server(MAILS, users={"quick": "1"}) as quick,
        Server(mails, host="127.0.0.2", users=USERS, latency=0.02) as server,
        ThreadPoolExecutor(6) as pool,
    ):
        accounts = accounts_of(quick) + accounts_of(server)
        outcomes = collect_all(accounts, tmp_path, executor=None if own else pool, pipelining=False)
        assert next(outcomes).account.user == "quick"
        eventually(lambda: len(running) == 4)
        outcomes.close()  # type: ignore[attr-defined]  # a generator
        assert running == []
        assert not any(thread.name.startswith("collect_all") for thread in threading.enumerate())
        pool.submit(len, "it still works").result()
        server.wait(GENEROUS)
        assert len(server.sessions) == 4
        for path in tmp_path.iterdir():
            with Archive(path) as archive:
                assert path.name.startswith("quick") or len(archive) < 400
                if len(archive):
                    assert archive.verify()


def test_an_error_of_progress_passes_through(tmp_path: Path) -> None:
    """What the caller's function raises is raised by the iterator, unchanged, and ends it; no session goes on."""

    class Enough(Exception):
        pass

    raised = Enough()

    def progress(_: Progress) -> None:
        assert threading.current_thread() is threading.main_thread()
        raise raised

    with Server(MAILS, users=USERS) as server:
        outcomes = collect_all(accounts_of(server), tmp_path, progress=progress)
        with pytest.raises(Enough) as caught:
            list(outcomes)
        assert caught.value is raised
        assert list(outcomes) == []
        server.wait(GENEROUS)


def test_progress_in_threads_is_of_all_accounts(tmp_path: Path) -> None:
    """It grows as messages arrive; totals are None while an account has not begun, and right at the end."""
    mails = [b"Subject: %d\r\n\r\n" % number + b"x" * 5000 + b"\r\n" for number in range(20)]
    size, reports = sum(map(len, mails)), list[Progress]()
    with (
        Server(mails, users={"a": "1", "b": "2"}, latency=0.01) as server,
        mock.patch.object(collecting, "INTERVAL", 0.001),
        mock.patch("pymailbox.progress.INTERVAL", 0.0),
    ):
        list(collect_all(accounts_of(server), tmp_path, per_host=1, progress=reports.append, pipelining=False))
    before = [one for one in reports if one.bytes < size]  # the other account has not begun
    assert {(one.total_bytes, one.total_messages) for one in before} == {(None, None)}
    assert reports[-1] == Progress(2 * size, 2 * size, 40, 40)
    assert any(0 < one.bytes < size for one in reports)
    second = [one for one in reports if one.bytes > size and one.total_bytes is not None]
    assert {one.total_bytes for one in second} == {2 * size}
    assert all(a.bytes <= b.bytes and a.messages <= b.messages for a, b in itertools.pairwise(reports))


def test_a_worker_that_dies_is_an_outcome(tmp_path: Path) -> None:
    """If a process of the pool is killed, its account and all others end with that error, and nothing hangs."""
    with hosts(1, 3) as (server,):
        fatal = Account(
            server.host, "fatal", PasswordCommand(["sh", "-c", "kill -9 $PPID"]), security="none", port=server.port
        )
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            outcomes = list(collect_all([fatal, *referring(server)], tmp_path, executor=pool))
        assert len(outcomes) == 4
        assert [type(outcome.error) for outcome in outcomes] == [BrokenProcessPool] * 4


def test_an_outcome_prints_as_one_line() -> None:
    """With user and host, and without control characters, whatever the error says."""
    account = Account("pop.example.com", "me", "hunter2")
    assert str(Outcome(account, Collected(new=2, bytes=38))) == (
        "me@pop.example.com: 2 new, 38 B; 0 known; nothing deleted"
    )
    error = str(Outcome(account, error=OSError("two\nlines \x1b[31m")))
    assert error == "me@pop.example.com: OSError: two\\nlines \\x1b[31m"
    assert "hunter2" not in repr(Outcome(account))
    assert pickle.loads(pickle.dumps(Outcome(account, Collected(new=1)))).result == Collected(new=1)


# --- the page -------------------------------------------------------------------------------------------------

SCRIPTS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "many-accounts.md").read_text("utf-8"), re.DOTALL)
ARCHIVED = "user{}@127.0.0.1: 3 new, 60 B; 0 known; nothing deleted"


@pytest.mark.parametrize(
    ("uses", "line"),
    [
        ("gather_accounts", "user{} 3"),
        ("SystemExit", ARCHIVED),
        ("ProcessPoolExecutor", ARCHIVED),
        ("LocalCluster", ARCHIVED),
    ],
)
def test_the_scripts_of_the_page_run(tmp_path: Path, uses: str, line: str) -> None:
    """Each of the four, as it is, with a list of accounts beside it."""
    assert len(SCRIPTS) == 4
    if uses == "LocalCluster":
        pytest.importorskip("distributed", reason="pip install 'pymailbox[test]'")
    (script,) = [one for one in SCRIPTS if uses in one]
    (tmp_path / "script.py").write_text(script)
    (tmp_path / "secret").write_text("secret\n")
    with hosts(1, 3) as (server,):
        urls = [server.url.replace("user0", user) for user in server.users or {}]
        (tmp_path / "accounts.csv").write_text("".join(f"{url},{tmp_path / 'secret'}\n" for url in urls))
        done = subprocess.run(
            [sys.executable, "-W", "error", "script.py"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=GENEROUS,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [line.format(number) for number in range(3)], done.stderr
    if line is ARCHIVED:
        assert contents(tmp_path / "mail") == {f"user{number}@127.0.0.1": HASHES for number in range(3)}
