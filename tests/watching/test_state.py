"""With a state file nothing is missed between two watches, and a message comes again until it is done."""

import sqlite3
import threading
from pathlib import Path

import pytest

from pymailbox import ArchiveLocked, LedgerDamaged, NotSupported
from pymailbox.testing import Quirk, Server
from tests.timing import ended
from tests.watching.conftest import Opener
from tests.watching.watches import account_of, mail

OLD = [mail("old 1", 100), mail("old 2", 200)]


def test_the_first_watch_takes_the_baseline(watch_of: Opener, tmp_path: Path) -> None:
    """What is listed when the file is new counts as handled; later watches take no baseline."""
    state = tmp_path / "missing" / "me.seen"
    with Server(OLD) as server:
        with watch_of(account_of(server), state=state) as watch, pytest.raises(TimeoutError, match="none arrived"):
            watch.wait(timeout=60)
        server.deliver(mail("while none ran"))
        with watch_of(account_of(server), state=state) as watch:
            server.deliver(mail("before the first look"))
            arrivals = [watch.next(), watch.next()]
            assert [arrival.subject for arrival in arrivals] == ["while none ran", "before the first look"]
        assert state.stat().st_mode & 0o777 == 0o600


def test_what_was_not_done_comes_again(watch_of: Opener, tmp_path: Path) -> None:
    """By the next watch on that file, and not twice by one watch; done is done, in any order, and may be repeated."""
    state = str(tmp_path / "me.seen")
    with Server(OLD) as server:
        with watch_of(account_of(server), state=state) as watch:
            for subject in ("a", "b", "c"):
                server.deliver(mail(subject, 300))
            arrivals = [watch.next() for _ in range(3)]
            arrivals[1].done()
            arrivals[1].done()
            with pytest.raises(TimeoutError, match="none arrived"):
                watch.wait(timeout=60)
        with watch_of(account_of(server), state=state) as watch:
            arrivals = [watch.next() for _ in range(2)]
            assert [arrival.subject for arrival in arrivals] == ["a", "c"]
            arrivals[1].done()
            arrivals[0].done()
        with watch_of(account_of(server), state=state) as watch, pytest.raises(TimeoutError, match="none arrived"):
            watch.wait(timeout=60)


def test_identical_listings_are_kept_apart(watch_of: Opener, tmp_path: Path) -> None:
    """Of messages with one uid and one size the one that was done does not come again, but the other does."""
    state = tmp_path / "me.seen"
    with Server(OLD[:1], quirks=Quirk.DUPLICATE_UIDS) as server:
        with watch_of(account_of(server), state=state) as watch:
            server.deliver(mail("a", 100))
            server.deliver(mail("b", 100))
            first, second = watch.next(), watch.next()
            assert (first.subject, second.subject) == ("a", "b")
            second.done()
        with watch_of(account_of(server), state=state) as watch:
            assert watch.next().subject == "a"


def test_done_is_durable_when_it_returns(watch_of: Opener, tmp_path: Path) -> None:
    """Another program that opens the file sees it then."""
    state = tmp_path / "me.seen"
    with Server() as server, watch_of(account_of(server), state=state) as watch:
        server.deliver(mail("a"))
        arrival = watch.next()
        for expected in (0, 1):
            with sqlite3.connect(f"file:{state}?mode=ro", uri=True) as database:
                assert database.execute("SELECT sum(added) FROM message").fetchone() == (expected,)
            database.close()
            arrival.done()


def test_done_from_other_threads(watch_of: Opener, tmp_path: Path) -> None:
    """Workers may call it while the watch looks and hands out."""
    state = tmp_path / "me.seen"
    errors: list[BaseException] = []
    with Server() as server, watch_of(account_of(server), state=state) as watch:
        threads = []
        for number in range(40):
            server.deliver(mail(str(number)))
            arrival = watch.next()

            def work(done: object = arrival.done) -> None:
                try:
                    done()  # type: ignore[operator]
                except BaseException as error:
                    errors.append(error)

            threads += [threading.Thread(target=work) for _ in range(2)]
            for thread in threads[-2:]:
                thread.start()
        ended(*threads)
    assert errors == []
    with Server() as server, watch_of(account_of(server), state=state) as watch:
        pass


def test_done_after_the_watch_was_left(watch_of: Opener, tmp_path: Path) -> None:
    """ValueError says that the message comes again, and it does; what was done before stays done."""
    state = tmp_path / "me.seen"
    with Server() as server:
        with watch_of(account_of(server), state=state) as watch:
            for subject in ("a", "b"):
                server.deliver(mail(subject))
            first, second = watch.next(), watch.next()
            first.done()
        first.done()
        with pytest.raises(ValueError, match="handed out again"):
            second.done()
        with watch_of(account_of(server), state=state) as watch:
            assert watch.next().subject == "b"


def test_one_watch_at_a_time(watch_of: Opener, tmp_path: Path) -> None:
    """A second one gets `ArchiveLocked` on entering, and the file is free when the first is left, in any way."""
    state = tmp_path / "me.seen"
    with Server() as server:
        with pytest.raises(ZeroDivisionError), watch_of(account_of(server), state=state):
            with pytest.raises(ArchiveLocked), watch_of(account_of(server), state=state):
                pass
            raise ZeroDivisionError
        with Server(uidl=False) as other, pytest.raises(NotSupported), watch_of(account_of(other), state=state):
            pass
        with watch_of(account_of(server), state=state) as watch:
            pass
        with pytest.raises(ValueError, match="only once"), watch:
            pass


def test_a_damaged_file(watch_of: Opener, tmp_path: Path) -> None:
    """`LedgerDamaged` on entering: it never counts as a new file, with a baseline that would skip messages."""
    state = tmp_path / "me.seen"
    state.write_bytes(b"x" * 8192)
    with Server() as server, pytest.raises(LedgerDamaged), watch_of(account_of(server), state=state):
        pass


def test_renumbered_while_no_watch_ran(watch_of: Opener, tmp_path: Path) -> None:
    """If the server has given all messages new uids, those that were handled do not come again; new ones come."""
    state = tmp_path / "me.seen"
    mails = [mail("old", 100 + number) for number in range(5)]
    with Server(mails, quirks=Quirk.NEW_UIDS_EACH_SESSION) as server:
        with watch_of(account_of(server), state=state) as watch:
            server.deliver(mail("done", 500))
            server.deliver(mail("undone", 600))
            watch.next().done()
            watch.next()
        server.deliver(mail("new", 700))
        with watch_of(account_of(server), state=state) as watch:
            subjects = watch.subjects(2)
            with pytest.raises(TimeoutError, match="none arrived"):
                watch.wait(timeout=60)
        assert subjects == ["undone", "new"]


def test_a_listing_that_never_changes_is_remembered_daily(watch_of: Opener, tmp_path: Path) -> None:
    """The file is written when the mailbox changes, and once a day; not at each look."""
    state = tmp_path / "me.seen"
    with Server(OLD) as server, watch_of(account_of(server), 3600, state=state) as watch:
        learned: list[int] = []
        handled = watch.watch._arrivals._handled
        remember = handled.remember
        handled.remember = lambda *arguments, **options: (learned.append(1), remember(*arguments, **options))[1]
        with pytest.raises(TimeoutError):
            watch.wait(timeout=86400 * 2.5)
        assert len(learned) == 2
        server.deliver(mail("a"))
        watch.next()
        assert len(learned) == 3
