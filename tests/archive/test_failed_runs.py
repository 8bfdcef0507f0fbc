"""How the last run failed, and when the next one makes sense: noted beside the ledger, and never in the way."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pymailbox import Account, Archive, ArchiveLocked, AuthenticationError, ConnectionLost, LoginDelay, MailboxError
from pymailbox.disk import Disk
from pymailbox.lock import locked
from pymailbox.testing import Fault, Server
from tests import case

MAILS = [b"Subject: %d\r\n\r\n.\r\n" % number for number in range(6)]
ME = Account("localhost", "me")


def account_of(server: Server) -> Account:
    """Return the account that a server has."""
    return Account(server.host, "me", "secret", security="none", port=server.port)


def waits(when: datetime | None, seconds: float, began: float) -> bool:
    """Whether a time is so many seconds after something that happened between `began` and now."""
    return when is not None and began + seconds <= when.timestamp() <= time.time() + seconds


@pytest.mark.parametrize(
    ("settings", "kind", "seconds"),
    [
        ({"password": "another"}, AuthenticationError, None),
        ({"faults": [Fault.refuse("PASS", None, "[LOGIN-DELAY] wait 5 minutes")]}, LoginDelay, 300),
        ({"faults": [Fault.cut(0, command="PASS")]}, ConnectionLost, 900),
        ({"faults": [Fault.refuse("STAT", None, "[SYS/TEMP] busy")]}, MailboxError, None),
        ({"faults": [Fault.refuse("STAT", None, "[SYS/TEMP] busy")], "login_delay": 60}, MailboxError, 60),
        ({"faults": [Fault.refuse("PASS", None, "[LOGIN-DELAY] wait 99999 hours")]}, LoginDelay, 86_400),
    ],
)
def test_a_run_that_fails_is_noted(
    settings: dict[str, Any], kind: type[MailboxError], seconds: float | None, tmp_path: Path
) -> None:
    """With what its error says; the next try is known if the error or CAPA names a time, a day at most."""
    began = time.time()
    with Server(MAILS, sasl=(), **settings) as server, Archive(tmp_path / "a") as archive:
        me = account_of(server)
        with pytest.raises(kind) as caught:
            archive.collect(me)
        failure = archive.last_failure(me)
        assert failure is not None
        assert failure.problem == str(failure) == str(caught.value)
        assert "secret" not in failure.problem
        assert began <= failure.at.timestamp() <= time.time()
        found = archive.next_try(me)
        assert found is None if seconds is None else waits(found, seconds, began)
        assert archive.last_run(me) is None
        assert archive.last_failure(Account(server.host, "you")) is None


def test_a_run_that_succeeds_clears_it(tmp_path: Path) -> None:
    """Each account has its own; a dry run, a locked archive and an interrupted run say nothing of either."""
    with Archive(tmp_path / "a") as archive:
        assert archive.last_failure(ME) is None
        assert archive.next_try(ME) is None
        assert not (tmp_path / "a").exists()
        with Server(MAILS, password="another") as server:
            me, you = account_of(server), Account(server.host, "you", "secret", security="none", port=server.port)
            for one in (me, you):
                with pytest.raises(AuthenticationError):
                    archive.collect(one)
            failed = archive.last_failure(me)
            assert failed is not None
        with Server(MAILS, port=0) as server:
            me = account_of(server)
            archive.collect(me, dry_run=True)
            with locked(tmp_path / "a" / ".pymailbox" / "lock", "the archive"):
                with pytest.raises(ArchiveLocked):
                    archive.collect(me)
                assert archive.last_failure(me) == failed  # reading takes no lock

            def interrupt(_: object) -> None:
                raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                archive.collect(me, progress=interrupt)
            assert archive.last_failure(me) == failed
            archive.collect(me)
            assert archive.last_failure(me) is None
            assert archive.last_failure(you) is not None
        with Server(MAILS, password="another") as server, pytest.raises(AuthenticationError):
            archive.collect(account_of(server), dry_run=True)
        assert archive.last_failure(me) is None


def test_a_server_that_wants_no_other_login_now(tmp_path: Path) -> None:
    """LOGIN-DELAY counts from the end of a run; whether a further session was refused makes no difference."""
    began = time.time()
    with Server(MAILS, login_delay=600) as server, Archive(tmp_path / "a") as archive:
        archive.collect(account_of(server), limit=1)
        assert waits(archive.next_try(account_of(server)), 600, began)
        assert archive.last_failure(account_of(server)) is None
    faults = [Fault.refuse("PASS", None, "[LOGIN-DELAY] wait 5 minutes", session=2)]
    with Server(MAILS, sasl=(), faults=faults) as server, Archive(tmp_path / "b") as archive:
        assert archive.collect(account_of(server)).new == 6
        assert waits(archive.next_try(account_of(server)), 300, began)
    with Server(MAILS) as server, Archive(tmp_path / "c") as archive:
        archive.collect(account_of(server))
        assert archive.next_try(account_of(server)) is None
        assert not (tmp_path / "c" / ".pymailbox" / "runs.json").exists()  # nothing to say


def test_a_time_that_has_come_or_is_not_believed(tmp_path: Path) -> None:
    """None, so that nobody waits for a clock that was wrong."""
    path = tmp_path / ".pymailbox" / "runs.json"
    path.parent.mkdir()
    now = datetime.now(UTC)
    for wait, believed in ((-1, False), (100, True), (86_300, True), (90_000, False), (1e300, False)):
        path.write_text(json.dumps({"me@localhost": {"next_try": now.timestamp() + wait}}))
        found = Archive(tmp_path).next_try(ME)
        assert found == (now + timedelta(seconds=wait) if believed else None)


def test_a_damaged_file_says_nothing(tmp_path: Path) -> None:
    """And the next run writes a new one."""
    path = tmp_path / "a" / ".pymailbox" / "runs.json"
    entries = ("[]", "7", '{"failed": "x", "next_try": []}', '{"failed": NaN, "problem": "p", "next_try": Infinity}')
    texts = [
        b"",
        b"\xff\xfe",
        b"{",
        b"[" * 100_000,
        *(b'{"me@%s": %s}' % (b"127.0.0.1", one.encode()) for one in entries),
    ]
    with Archive(tmp_path / "a") as archive:
        for text in texts:
            with case(text[:50]), Server(MAILS, password="another") as server:
                me = account_of(server)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text)
                assert archive.last_failure(me) is None
                assert archive.next_try(me) is None
                with pytest.raises(AuthenticationError):
                    archive.collect(me)
                assert archive.last_failure(me) is not None


def test_a_disk_that_cannot_be_written_is_not_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run fails with its own error, or does not fail; what is a directory stays one."""
    (tmp_path / "a" / ".pymailbox" / "runs.json").mkdir(parents=True)
    with Archive(tmp_path / "a") as archive:
        with Server(MAILS, password="another") as server, pytest.raises(AuthenticationError):
            archive.collect(account_of(server))
        with Server(MAILS, login_delay=60) as server:
            assert archive.collect(account_of(server)).new == 6
    for verb in ("create", "rename", "remove"):

        def fail(*_: object) -> None:
            raise OSError(5, os.strerror(5))

        with monkeypatch.context() as patched, Server(MAILS, password="another") as server:
            archive = Archive(tmp_path / verb)
            patched.setattr(Disk, verb, fail)
            with archive, pytest.raises(AuthenticationError):
                archive.collect(account_of(server))


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    """As everything that the archive keeps for itself."""
    with Server(MAILS, password="another") as server, pytest.raises(AuthenticationError):
        Archive(tmp_path / "a").collect(account_of(server))
    assert (tmp_path / "a" / ".pymailbox" / "runs.json").stat().st_mode & 0o777 == 0o600
