"""`Seen` hands out each message until it was added."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pymailbox import Account, AsyncMailbox, Mailbox, NotSupported, Seen
from pymailbox.testing import Fault, Server
from tests import ROOT
from tests.archive.box import Box, account_of, message, serve
from tests.archive.conftest import IN_PARTS, PARTS, Traced, runner, traced  # noqa: F401 - fixtures
from tests.seen.mailboxes import opened, uids_of
from tests.timing import GENEROUS

PAGE = (ROOT / "docs" / "new-mail.md").read_text("utf-8")


def test_a_message_is_handed_out_until_it_is_added(server: Server, path: Path) -> None:
    for added, expected in ((0, ["u0", "u1", "u2"]), (1, ["u0", "u1", "u2"]), (0, ["u0", "u2"]), (0, ["u0", "u2"])):
        with Seen(path) as seen, opened(server) as inbox:
            new = seen.new(inbox)
            assert uids_of(new) == expected
            for message in new[1 : 1 + added]:
                seen.add(message)
            assert uids_of(seen.new(inbox)) == [uid for uid in expected if not added or uid != "u1"]


def test_new_asks_for_the_listings_once_and_add_for_nothing(server: Server, path: Path) -> None:
    with Seen(path) as seen, opened(server) as inbox:
        for _ in range(2):
            seen.add(seen.new(inbox)[0])
        seen.add(inbox)
    asked = [line for line in server.sessions[-1].commands if line.split()[0] in {"UIDL", "LIST", "TOP", "RETR"}]
    assert asked == ["UIDL", "LIST"]


def test_many_messages_are_one_commit(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Seen(path) as seen, opened(server) as inbox:
        new = seen.new(inbox)
        file = seen._require_open()
        changes = file._database.total_changes
        seen.add(new[0])
        assert file._database.total_changes - changes == 1  # one row, not all of them
        commits: list[str] = []
        file._database.set_trace_callback(lambda line: commits.append(line) if line == "COMMIT" else None)
        seen.add(message for message in new)
        file._database.set_trace_callback(None)
        assert commits == ["COMMIT"]
    with Seen(path) as seen, opened(server) as inbox:
        assert seen.new(inbox) == ()


def test_messages_marked_as_deleted_are_not_handed_out(server: Server, path: Path) -> None:
    with Seen(path) as seen, opened(server) as inbox:
        inbox[1].delete()
        assert uids_of(seen.new(inbox)) == ["u0", "u2"]
        inbox.undelete()
        assert uids_of(seen.new(inbox)) == ["u0", "u1", "u2"]


def test_an_empty_mailbox_has_nothing_new(path: Path) -> None:
    with serve(Box()) as server, Seen(path) as seen, opened(server) as inbox:
        assert seen.new(inbox) == ()
        assert seen.of(inbox.account).is_known()


def test_add_works_when_the_session_has_ended(server: Server, path: Path) -> None:
    """All it needs is known since `new`, or since the uid was read."""
    with Seen(path) as seen:
        with opened(server) as inbox:
            first, second, third = seen.new(inbox)
        with opened(server) as inbox:
            seen.new(inbox)
        seen.add(second)
    with opened(server) as inbox:
        last = inbox[2]
        assert last.uid == third.uid
    with Seen(path) as seen:
        seen.add(last)
        with opened(server) as inbox:
            assert uids_of(seen.new(inbox)) == [first.uid]


def test_add_of_a_message_that_new_never_saw_asks_for_its_uid(server: Server, path: Path) -> None:
    with Seen(path) as seen, opened(server) as inbox:
        seen.add(inbox[1])
        assert [line for line in server.sessions[-1].commands if line in {"UIDL", "LIST"}] == ["UIDL"]
        assert uids_of(seen.new(inbox)) == ["u0", "u2"]
    with Seen(path) as seen, opened(server) as inbox:
        assert uids_of(seen.new(inbox)) == ["u0", "u2"]


def test_each_account_has_its_own(path: Path) -> None:
    """They share a file, also when both are new and their uids the same."""
    mails = [message(1), message(2)]
    with Server(mails, users={"ann": "1", "bob": "1"}, lock=False) as server:
        accounts = [Account(server.host, user, "1", security="none", port=server.port) for user in ("ann", "bob")]
        with Seen(path) as seen, Mailbox.from_account(accounts[0]) as ann, Mailbox.from_account(accounts[1]) as bob:
            assert not any(seen.of(account).is_known() for account in accounts)
            a, b = seen.new(ann), seen.new(bob)
            assert (len(a), len(b)) == (2, 2)
            seen.add(a[0])
            seen.add([*b, a[0]])
        with Seen(path) as seen, Mailbox.from_account(accounts[0]) as ann, Mailbox.from_account(accounts[1]) as bob:
            assert [message.number for message in seen.new(ann)] == [2]
            assert seen.new(bob) == ()


def test_a_message_without_a_uid_is_remembered_for_its_session(path: Path) -> None:
    box = Box()
    box.put("", message(1))
    box.put("", message(2))
    with serve(box) as server:
        for _ in range(2):
            with Seen(path) as seen, opened(server) as inbox:
                first, second = seen.new(inbox)
                seen.add(first)
                assert seen.new(inbox) == (second,)


def test_a_server_without_uidl_is_not_supported(path: Path) -> None:
    with Server([message(1)], uidl=False) as server, Seen(path) as seen, opened(server) as inbox:
        for call in (lambda: seen.new(inbox), lambda: seen.add(inbox[0])):
            with pytest.raises(NotSupported, match="UIDL"):
                call()


@pytest.mark.parametrize("reply", ["not implemented", "[SYS/TEMP] busy"])
def test_a_refused_list_leaves_sizes_unknown(box: Box, path: Path, reply: str) -> None:
    """An unknown size fits any: what was added stays so, by its uid."""
    with serve(box) as server, Seen(path) as seen, opened(server) as inbox:
        seen.add(seen.new(inbox)[:2])
    with serve(box, faults=[Fault.refuse("LIST", None, reply)]) as server, Seen(path) as seen, opened(server) as inbox:
        assert uids_of(seen.new(inbox)) == ["u2"]


def test_under_asyncio_new_is_awaited(server: Server, path: Path) -> None:
    async def run() -> list[str | None]:
        with Seen(path) as seen:
            async with AsyncMailbox.from_account(account_of(server)) as inbox:
                new = await seen.new(inbox)
                seen.add(new[0])
                await asyncio.to_thread(seen.add, new[2:])
                await new[1].delete()
                assert await seen.new(inbox) == ()
                await inbox.undelete()
                return [await message.uid() for message in await seen.new(inbox)]

    assert asyncio.run(run()) == ["u1"]

    async def unlisted() -> None:
        with Seen(path) as seen:
            async with AsyncMailbox.from_account(account_of(server)) as inbox:
                with pytest.raises(ValueError, match=r"await seen.new\(inbox\)"):
                    seen.add(inbox[1])
                await inbox.uids()
                seen.add(inbox[1])
                assert await seen.new(inbox) == ()

    asyncio.run(unlisted())


def test_threads_may_add(path: Path) -> None:
    """Messages handled in threads are added from there."""
    box = Box()
    for number in range(40):
        box.put(f"u{number}", message(number, 200 + number))
    with serve(box) as server, Seen(path) as seen, opened(server) as inbox:
        new = seen.new(inbox)
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(seen.add, new, timeout=GENEROUS))
        assert seen.new(inbox) == ()
    with serve(box) as server, Seen(path) as seen, opened(server) as inbox:
        assert seen.new(inbox) == ()


def test_the_script_of_the_page_runs(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it can be copied from docs/new-mail.md, but for the account: it prints each message once."""
    script, *_ = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    account = '"pop.example.com", "me@example.com", "app-password"'
    assert account in script
    script = script.replace(account, f'"{server.host}", "me", "secret", port={server.port}, security="none"')
    monkeypatch.setenv("HOME", str(tmp_path))
    printed: list[str] = []
    for _ in range(3):
        exec(script, {"print": lambda *values: printed.append(str(values[-1]))})
        assert printed == ["0", "1", "2"]


# --- misuse ---------------------------------------------------------------------------------------------------


def test_it_is_used_in_a_with_block(server: Server, path: Path) -> None:
    """Before and after, everything is ValueError that says so."""
    seen = Seen(path)
    with opened(server) as inbox:
        for _ in range(2):
            for call in (lambda: seen.new(inbox), lambda: seen.add(inbox[0]), lambda: seen.add([])):
                with pytest.raises(ValueError, match="use `with Seen"):
                    call()
            with seen:
                messages = seen.of(inbox.account)
                assert len(seen.new(inbox)) == 3  # and again: it may be entered twice, one time after the other
            with Seen(path) as other:
                other.add(inbox)
            with seen:  # what was in memory is read again
                assert messages.unseen([("u0", 200), ("u1", 201), ("u2", None)]) == []
            path.unlink()
            with pytest.raises(ValueError, match="use `with Seen"):
                messages.is_known()


def test_wrong_types_are_refused_before_anything_is_written(server: Server, path: Path) -> None:
    with Seen(path) as seen, opened(server) as inbox:
        new = seen.new(inbox)
        wrong: Any
        for wrong in ("u0", 7, None, [new[0], "u1"], [None], {"u0"}):
            with pytest.raises(TypeError, match="expected a message or an iterable of messages, got"):
                seen.add(wrong)
        for wrong in (None, account_of(server), new, "inbox"):
            with pytest.raises(TypeError, match="inbox must be a Mailbox or an AsyncMailbox, not"):
                seen.new(wrong)
        with pytest.raises(TypeError, match="renumbered must be True or False, not 1"):
            seen.new(inbox, renumbered=1)  # type: ignore[call-overload]
        assert seen.new(inbox) == new
    with pytest.raises(ValueError, match="path must not be empty"):
        Seen("")
    with pytest.raises(ValueError, match="path must not contain NUL"):
        Seen("a\0b")
    with pytest.raises(ValueError, match="no home directory is known: '~nobody-of-this-name/x'"):
        Seen("~nobody-of-this-name/x")
    with pytest.raises(TypeError):
        Seen(None)  # type: ignore[arg-type]
