"""A watch hands out what arrives, each message once, as plain values, when it is due; the same over both drivers."""

import logging
import pickle
from pathlib import Path

import pytest

from pymailbox import Content, Limits, MailboxError, NotSupported
from pymailbox.testing import Fault, Quirk, Server
from pymailbox.watching import look
from tests.watching.conftest import Opener
from tests.watching.watches import account_of, mail

OLD = [mail("old 1", 100), mail("old 2", 200), mail("old 3", 300)]


def test_a_mail_before_the_first_look(watch_of: Opener) -> None:
    """What arrives between entering and the first look is found at once; what was there before is not handed out."""
    with Server(OLD) as server, watch_of(account_of(server)) as watch:
        server.deliver(mail("Your code"))
        assert watch.wait(lambda arrival: "code" in arrival.subject, timeout=120).subject == "Your code"
        assert watch.time.waits == []
        assert len(server.sessions) == 2


def test_a_mail_between_looks(watch_of: Opener) -> None:
    """It is found within one `every`."""
    with Server(OLD) as server, watch_of(account_of(server), 60) as watch:
        watch.time.after(90, lambda: server.deliver(mail("Your code")))
        began = watch.time.now
        assert watch.wait(lambda arrival: "code" in arrival.subject, timeout=120).subject == "Your code"
        assert watch.time.now - began == 120
        assert watch.time.waits == [60, 60]


def test_a_mail_that_never_comes(watch_of: Opener) -> None:
    """TimeoutError after `timeout`, not before and not later, with what arrived instead."""
    with Server(OLD) as server, watch_of(account_of(server), 60) as watch:
        began = watch.time.now
        with pytest.raises(TimeoutError, match=r"within 150 s: none arrived$"):
            watch.wait(timeout=150)
        assert watch.time.now - began == 150
        assert len(server.sessions) == 1 + 3
        server.deliver(mail("news"))
        server.deliver(mail("more news"))
        with pytest.raises(TimeoutError, match="2 arrived that did not match") as caught:
            watch.wait(lambda arrival: "code" in arrival.subject, timeout=50)
        assert caught.value.__cause__ is None


def test_a_timeout_of_nothing_looks_if_a_look_is_due(watch_of: Opener) -> None:
    """`timeout=0` asks what is there now, and looks no more often than any other wait."""
    with Server(OLD) as server, watch_of(account_of(server), 60) as watch:
        server.deliver(mail("one"))
        assert watch.wait(timeout=0).subject == "one"
        server.deliver(mail("two"))
        with pytest.raises(TimeoutError):
            watch.wait(timeout=0)
        assert len(server.sessions) == 2
        assert watch.wait(timeout=60).subject == "two"


def test_what_does_not_match_stays_in_order(watch_of: Opener) -> None:
    """It is handed out by the next wait or loop; an error of the predicate passes through and loses nothing."""

    def faulty(arrival: object) -> bool:
        raise ZeroDivisionError

    with Server() as server, watch_of(account_of(server)) as watch:
        for subject in ("a", "b", "c", "d"):
            server.deliver(mail(subject))
        with pytest.raises(ZeroDivisionError):
            watch.wait(faulty)
        assert watch.wait(lambda arrival: arrival.subject == "c").subject == "c"
        assert watch.next().subject == "a"
        assert watch.wait(lambda arrival: arrival.subject == "d").subject == "d"
        assert watch.next().subject == "b"
        assert len(server.sessions) == 2


def test_an_arrival_is_a_plain_value(watch_of: Opener) -> None:
    """A content with uid and size, handed out after the session has ended, that outlives the watch."""
    with Server() as server:
        with watch_of(account_of(server)) as watch:
            server.deliver(mail("one", 500))
            arrival = watch.next()
            server.wait()
        assert (arrival.subject, arrival.size, arrival.raw) == ("one", 500, mail("one", 500))
        assert arrival.uid
        assert isinstance(arrival, Content)
        assert repr(arrival) == "<Arrival: 500 bytes, subject 'one'>"
        assert pickle.loads(pickle.dumps(arrival)) == arrival
        arrival.done()
        arrival.done()


def test_a_look_leaves_nothing_on_the_server(watch_of: Opener) -> None:
    """No DELE, and no QUIT after a RETR, which would hide the message from other programs on some servers."""
    with Server(OLD, quirks=Quirk.HIDES_READ) as server, watch_of(account_of(server), 60) as watch:
        server.deliver(mail("one"))
        watch.next()
        with pytest.raises(TimeoutError):
            watch.wait(timeout=200)
        server.wait()
        assert len(server.messages) == 4
        assert not any(line.startswith("DELE") for line in server.log)
        for session in server.sessions:
            assert ("QUIT" in session.commands) is not any(line.startswith("RETR") for line in session.commands)


def test_every_counts_from_start_to_start(watch_of: Opener) -> None:
    """A look that took 25 s is followed by a wait of 35; one that took longer than `every` by another at once."""
    with Server(OLD) as server, watch_of(account_of(server), 60) as watch:
        begin, took = watch.watch._schedule.begin, iter([25, 0, 70, 0, 0])
        watch.watch._schedule = _Slow(watch.watch._schedule, lambda: watch.time.wait(next(took)), begin)
        watch.time.after(195, lambda: server.deliver(mail("one")))
        assert watch.next().subject == "one"
        assert watch.time.waits == [25, 35, 0, 60, 70, 0, 60, 0]


class _Slow:
    """A schedule after whose `begin` some time passes."""

    def __init__(self, inner: object, delay: object, begin: object) -> None:
        self.__dict__.update(inner=inner, delay=delay, begin_of=begin)

    def begin(self) -> None:
        self.__dict__["begin_of"]()
        self.__dict__["delay"]()

    def __getattr__(self, name: str) -> object:
        return getattr(self.__dict__["inner"], name)


@pytest.mark.parametrize("advertised", ["LOGIN-DELAY 300", "LOGIN-DELAY 300 USER"])
def test_never_more_often_than_login_delay(watch_of: Opener, advertised: str) -> None:
    """No two logins are closer than the LOGIN-DELAY that the server advertises, the one on entering included."""
    capabilities = ["UIDL", "TOP", "USER", advertised]
    with Server(OLD, capabilities=capabilities) as server, watch_of(account_of(server), 60) as watch:
        with pytest.raises(TimeoutError):
            watch.wait(timeout=3000)
        assert watch.time.waits == [300] * 10
        assert len(server.sessions) == 11


def test_messages_beyond_one_look_follow_at_once(watch_of: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 100 messages or so many bytes a look; a larger message comes alone; the next look does not wait."""
    with Server() as server, watch_of(account_of(server)) as watch:
        for number in range(250):
            server.deliver(mail(str(number)))
        assert watch.subjects(250) == [str(number) for number in range(250)]
        assert watch.time.waits == []
        assert [sum(line.startswith("RETR") for line in session.commands) for session in server.sessions[1:]] == [
            100,
            100,
            50,
        ]
        monkeypatch.setattr(look, "_BYTES", 10_000)
        sizes = [4000, 4000, 4000, 20_000, 9000, 500, 501]
        for size in sizes:
            server.deliver(mail("large", size))
        assert [watch.next().size for _ in sizes] == sizes
        assert watch.time.waits == [60]
        retrieved = [sum(line.startswith("RETR") for line in session.commands) for session in server.sessions[4:]]
        assert retrieved == [2, 1, 1, 2, 1]


def test_a_look_is_bounded_where_sizes_are_wrong(watch_of: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrived counts, not what was listed."""
    monkeypatch.setattr(look, "_BYTES", 10_000)
    listing = b"+OK\r\n" + b"".join(b"%d 10\r\n" % number for number in range(1, 7)) + b".\r\n"
    with Server(pipelining=False) as server, watch_of(account_of(server)) as watch:
        for _ in range(6):
            server.deliver(mail("large", 4000))
        server.faults = (Fault.replace("LIST", reply=listing),)
        assert [watch.next().size for _ in range(6)] == [4000] * 6
        retrieved = [sum(line.startswith("RETR") for line in session.commands) for session in server.sessions[1:]]
        assert retrieved == [3, 3]


def test_login_delay_holds_between_batches(watch_of: Opener) -> None:
    """More messages do not make a watch impolite."""
    with Server(capabilities=["UIDL", "USER", "LOGIN-DELAY 90"]) as server, watch_of(account_of(server)) as watch:
        for number in range(101):
            server.deliver(mail(str(number)))
        watch.subjects(101)
        assert watch.time.waits == [90, 90]


# --- identity ---------------------------------------------------------------------------------------------------


def test_new_uids_for_all_are_not_a_flood(watch_of: Opener, caplog: pytest.LogCaptureFixture) -> None:
    """If the server renumbers all messages nothing is handed out again, with a warning; what arrives with it is found."""
    with Server(OLD, quirks=Quirk.NEW_UIDS_EACH_SESSION) as server, watch_of(account_of(server), 60) as watch:
        with pytest.raises(TimeoutError, match="none arrived"):
            watch.wait(timeout=300)
        assert "all uids have changed at once" in caplog.text
        server.deliver(mail("new", 400))
        assert watch.next().subject == "new"
        with pytest.raises(TimeoutError, match="none arrived"):
            watch.wait(timeout=300)


def test_new_uids_for_messages_of_one_size_are_not_a_flood(watch_of: Opener) -> None:
    """Messages that are all alike are known by their number; what arrives with the new uids is handed out."""
    alike = [mail(str(number), 200) for number in range(5)]
    with Server(alike, quirks=Quirk.NEW_UIDS_EACH_SESSION) as server, watch_of(account_of(server), 60) as watch:
        with pytest.raises(TimeoutError, match="none arrived"):
            watch.wait(timeout=300)
        server.deliver(mail("new", 200))
        assert watch.next().subject == "new"


def test_an_emptied_account_is_not_a_renumbered_one(watch_of: Opener) -> None:
    """If another program has removed all messages, those that arrive are handed out."""
    with Server(OLD) as server, watch_of(account_of(server), 60) as watch:
        drop = server.maildrop()
        drop.remove(drop.view().mails)
        server.deliver(mail("new 1", 101))
        server.deliver(mail("new 2", 202))
        assert watch.subjects(2) == ["new 1", "new 2"]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("alike", [True, False])
def test_what_was_handed_out_and_deleted_hides_nothing(
    watch_of: Opener, count: int, alike: bool, tmp_path: Path
) -> None:
    """As many messages of the same sizes that arrive between two looks are handed out, in order, by a later watch too."""
    sizes = [100 if alike else 100 + number for number in range(count)]
    with Server() as server:
        with watch_of(account_of(server), state=tmp_path / "state") as watch:
            drop = server.maildrop()
            for batch in ("first", "second", "third"):
                drop.remove(drop.view().mails)
                for number, size in enumerate(sizes):
                    server.deliver(mail(f"{batch} {number}", size))
                arrivals = [watch.next() for _ in sizes]
                assert [arrival.subject for arrival in arrivals] == [f"{batch} {number}" for number in range(count)]
                if batch != "third":
                    for arrival in arrivals:
                        arrival.done()
        with watch_of(account_of(server), state=tmp_path / "state") as watch:
            assert watch.subjects(count) == [f"third {number}" for number in range(count)]


def test_one_download_tells_that_all_uids_have_changed(watch_of: Opener, tmp_path: Path) -> None:
    """Messages that were handed out are not handed out again, nor after `done()` by a later watch; what arrives is."""
    state = tmp_path / "state"
    with Server(OLD, quirks=Quirk.NEW_UIDS_EACH_SESSION, pipelining=False) as server:
        with watch_of(account_of(server), 60, state=state) as watch:
            for number in range(10):
                server.deliver(mail(str(number), 400 + number))
            for _ in range(10):
                watch.next().done()
            server.deliver(mail("new", 500))
            arrival = watch.next()
            assert arrival.subject == "new"
            assert [line for line in server.sessions[-1].commands if line.startswith("RETR")] == ["RETR 14", "RETR 4"]
            arrival.done()
            with pytest.raises(TimeoutError, match="none arrived"):
                watch.wait(timeout=300)
            assert sum(line.startswith("RETR") for line in server.sessions[-1].commands) == 1
        with watch_of(account_of(server), 60, state=state) as watch, pytest.raises(TimeoutError, match="none arrived"):
            watch.wait(timeout=0)


@pytest.mark.parametrize("quirk", [Quirk.BLANK_UID, Quirk.DUPLICATE_UIDS])
def test_messages_without_a_uid_of_their_own(watch_of: Opener, quirk: Quirk) -> None:
    """They are counted by size: none is handed out twice, and one that arrives is found, also of a size seen before."""
    with Server(OLD, quirks=quirk) as server, watch_of(account_of(server), 60) as watch:
        for subject, size in (("a", 100), ("b", 100), ("c", 150), ("d", 150), ("e", 300)):
            server.deliver(mail(subject, size))
        assert sorted(watch.subjects(5)) == ["a", "b", "c", "d", "e"]
        with pytest.raises(TimeoutError, match="none arrived"):
            watch.wait(timeout=300)


def test_a_listing_without_sizes(watch_of: Opener) -> None:
    """If LIST is refused, now and then or always, uids alone tell messages apart."""
    faults = [Fault.refuse("LIST", session=session) for session in (2, 3, 5)]
    with Server(OLD, faults=faults) as server, watch_of(account_of(server), 60) as watch:
        server.deliver(mail("one"))
        assert watch.next().subject == "one"
        with pytest.raises(TimeoutError, match="none arrived"):
            watch.wait(timeout=300)


def test_without_uidl(watch_of: Opener) -> None:
    """A server without UIDL is `NotSupported` on entering, for an empty mailbox, too."""
    for mails in (OLD, []):
        with Server(mails, uidl=False) as server:
            with pytest.raises(NotSupported, match="UIDL"), watch_of(account_of(server)):
                pass
            assert len(server.sessions) == 1
    unlisted = {"capabilities": ["USER"]}
    for quirk in (Quirk.EMPTY_LIST_REFUSED, Quirk.UIDL_UNLISTED):
        with Server(quirks=quirk, **unlisted) as server, watch_of(account_of(server)) as watch:
            server.deliver(mail("one"))
            assert watch.next().subject == "one"


# --- messages that fail -----------------------------------------------------------------------------------------


def test_a_refused_message_is_set_aside(watch_of: Opener, caplog: pytest.LogCaptureFixture) -> None:
    """After three looks; the others are not delayed, and it is logged, and named by the watch."""
    with Server(quirks=Quirk.ONE_UNREADABLE) as server, watch_of(account_of(server), 60) as watch:
        for subject in ("bad", "good"):
            server.deliver(mail(subject))
        assert watch.next().subject == "good"
        with pytest.raises(TimeoutError):
            watch.wait(timeout=600)
        assert server.log.count("RETR 1") == 3
        uid = next(line.split()[1] for line in [server.maildrop().view().uidl_lines.decode()[2:]])
        ((aside, error),) = watch.watch.set_aside.items()
        assert aside == server.maildrop().view().mails[0].uid.decode(), uid
        assert "letter" in str(error)
        (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert record.name == "pymailbox.watching"
        assert aside in record.message
        server.deliver(mail("later"))
        assert watch.next().subject == "later"


def test_a_message_beyond_a_limit_is_set_aside(watch_of: Opener) -> None:
    """`LimitExceeded` is that message's alone, whether LIST tells its size or not."""
    for faults in ([], [Fault.refuse("LIST", nth=None, text="unknown command")]):
        with (
            Server(faults=faults) as server,
            watch_of(account_of(server), 60, limits=Limits(message=2000)) as watch,
        ):
            for subject, size in (("bad", 5000), ("good", 500)):
                server.deliver(mail(subject, size))
            assert watch.next().subject == "good"
            with pytest.raises(TimeoutError):
                watch.wait(timeout=3600)
            ((_, error),) = watch.watch.set_aside.items()
            assert type(error).__name__ == "LimitExceeded"


def test_a_message_that_ends_the_session_is_set_aside(watch_of: Opener) -> None:
    """It is asked for last from then on, and set aside after three looks."""
    faults = [
        Fault.drop("RETR", 1, session=2),  # "bad" is first
        Fault.drop("RETR", 2, session=3),  # last from then on
        Fault.drop("RETR", 1, session=4),
    ]
    with Server(pipelining=False, faults=faults) as server, watch_of(account_of(server), 60) as watch:
        for subject in ("bad", "good"):
            server.deliver(mail(subject))
        assert watch.next().subject == "good"
        assert len(server.sessions) == 3
        with pytest.raises(TimeoutError):
            watch.wait(timeout=3600)
        assert server.log.count("RETR 1") == 3
        ((_, error),) = watch.watch.set_aside.items()
        assert type(error).__name__ == "ConnectionLost"


def test_a_busy_server_sets_nothing_aside(watch_of: Opener) -> None:
    """A message that is refused for the moment is tried for as long as it takes."""
    with Server(quirks=Quirk.EXCEEDS_LOGIN_LIMIT) as server, watch_of(account_of(server), 60) as watch:
        subjects = [str(number) for number in range(20)]
        for subject in subjects:
            server.deliver(mail(subject))
        assert sorted(watch.subjects(20)) == sorted(subjects)
        assert watch.watch.set_aside == {}


def test_a_server_that_cannot_pipeline(watch_of: Opener) -> None:
    """The look is repeated at once, one by one, and so are those that follow."""
    with Server(quirks=Quirk.HANGS_UP_ON_PIPELINE) as server, watch_of(account_of(server)) as watch:
        for subject in ("a", "b", "c"):
            server.deliver(mail(subject))
        assert watch.subjects(3) == ["a", "b", "c"]
        assert watch.time.waits == []
        assert len(server.sessions) == 3
        for subject in ("d", "e"):
            server.deliver(mail(subject))
        assert watch.subjects(2) == ["d", "e"]
        assert len(server.sessions) == 4
        assert watch.watch.set_aside == {}


def test_errors_come_after_what_arrived_before_them(watch_of: Opener) -> None:
    """A look that brought messages and then failed for good hands them out first, then raises."""
    faults = [Fault.refuse("RETR", 2, text="[SYS/PERM] broken", session=2)]
    with Server(pipelining=False, faults=faults) as server, watch_of(account_of(server), 60) as watch:
        for subject in ("a", "b", "c"):
            server.deliver(mail(subject))
        assert watch.subjects(3) == ["a", "c", "b"]
        watch.watch._late = MailboxError("later")
        server.deliver(mail("d"))
        with pytest.raises(MailboxError, match="later"):
            watch.next()
        assert watch.next().subject == "d"
