"""Whatever happened to the ledger, nothing is deleted that is not whole on disk, and no file is changed or lost.

A run with a damaged ledger either works or raises LedgerDamaged, which says how to make a new one from the files; with
that nothing is downloaded twice or stored twice.
"""

import errno
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from attrs import define, evolve

from pymailbox import Account, Archive, Keep, LedgerDamaged
from pymailbox.archive import deleting, stored_form
from pymailbox.testing import Server
from tests.archive.box import Box, account_of, disks_that_do_not_wait, message, put_before, serve

#: A uid of two messages, none at all, another alphabet; what arrived after the ledger was damaged comes last.
MAILS = [(f"uid{n}", message(n)) for n in range(12)] + [("", message(20)), ("d", message(21)), ("d", message(22))]
MAILS += [("é\udcff", message(23))]
LATER = [("later", message(30)), ("", message(31))]


@define
class Bench:
    """An archive of MAILS, of which each trial has a copy, and the server."""

    root: Path
    server: Server
    number: int = 0

    @property
    def account(self) -> Account:
        return account_of(self.server)

    @property
    def ledger(self) -> Path:
        return self.root / "a" / ".pymailbox" / "ledger.db"

    def copy(self) -> Path:
        self.number += 1
        return Path(shutil.copytree(self.root / "a", self.root / str(self.number)))

    def box(self, *, later: bool = True) -> Box:
        box = Box()
        for uid, content in MAILS + (LATER if later else []):
            box.put(uid, content)
        put_before(self.server, box)
        return box


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        stack.enter_context(disks_that_do_not_wait())
        made = Bench(tmp_path, stack.enter_context(serve(Box())))
        made.box(later=False)
        with Archive(tmp_path / "a") as archive:
            assert archive.collect(made.account).new == len(MAILS)
        yield made


def files_of(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for name in ("new", "cur") for file in (path / name).iterdir()}


def contents_of(path: Path) -> Counter[bytes]:
    with Archive(path) as archive:
        return Counter(record.raw for record in archive)


def works(bench: Bench, path: Path, keep: Keep, *, clean: bool = False) -> bool:
    """Run, and return False if the ledger was found to be damaged."""
    try:
        with Archive(path) as archive:
            if clean:
                archive.clean(bench.account, keep, at_most=1)
            else:
                archive.collect(bench.account, keep=keep)
    except LedgerDamaged as error:
        if "Archive.rebuild(" in str(error) and "pymailbox rebuild" in str(error):
            return False
        raise
    return True


def trial(bench: Bench, path: Path, *, clean: bool, rebuild: bool = False) -> bool:
    """Run with a damaged ledger, check what must hold; return whether it was noticed.

    A new ledger is made if it was, or with `rebuild`: what the files of another archive should be nobody can notice.
    """
    box, before = bench.box(), files_of(path)
    noticed = not works(bench, path, Keep.nothing(), clean=clean)
    after = files_of(path)
    assert before.items() <= after.items(), "a file was changed or destroyed"
    whole = Counter(data.replace(b"\n", b"\r\n") for data in after.values())
    gone = Counter(mail.content for mail in box.deleted)
    assert not gone - whole, "a message was deleted that is not on disk"
    box, sessions = bench.box(), len(bench.server.sessions)
    if noticed or rebuild or not works(bench, path, Keep.everything()):
        Archive.rebuild(path)
        sessions = len(bench.server.sessions)
        assert works(bench, path, Keep.everything())
    with Archive(path) as archive:
        assert archive.verify()
    known = {uid for uid, _ in MAILS if uid not in {"", "d"}}
    asked = [line for record in bench.server.sessions[sessions:] for line in record.commands if line.startswith("RETR")]
    fetched = {box.uids[int(line.split()[1]) - 1] for line in asked}
    if noticed:
        assert not known & fetched, "a message was downloaded twice"
    assert contents_of(path) == Counter(content for _, content in MAILS + LATER), "lost, or stored twice"
    shutil.rmtree(path)
    return noticed


def flips(data: bytes, count: int, seed: int = 17) -> Iterator[bytes]:
    """Yield the data with one bit changed, `count` times."""
    chosen = random.Random(seed)
    for _ in range(count):
        changed = bytearray(data)
        changed[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
        yield bytes(changed)


@pytest.mark.parametrize("clean", [False, True], ids=["collect", "clean"])
@pytest.mark.parametrize("count", [40, pytest.param(400, marks=pytest.mark.slow)])
def test_bits_of_the_ledger_change(bench: Bench, clean: bool, count: int) -> None:
    noticed = 0
    for changed in flips(bench.ledger.read_bytes(), count):
        path = bench.copy()
        (path / ".pymailbox" / "ledger.db").write_bytes(changed)
        noticed += trial(bench, path, clean=clean)
    assert noticed


@pytest.mark.parametrize("every", [8 * 512, pytest.param(512, marks=pytest.mark.slow)])
def test_the_ledger_is_cut_off(bench: Bench, every: int) -> None:
    data = bench.ledger.read_bytes()
    for clean in (False, True):
        for length in range(0, len(data), every):
            path = bench.copy()
            (path / ".pymailbox" / "ledger.db").write_bytes(data[:length])
            trial(bench, path, clean=clean)


def _sql(*statements: str) -> Callable[[Bench, Path], None]:
    def change(_: Bench, ledger: Path) -> None:
        with sqlite3.connect(ledger) as database:
            for statement in statements:
                database.execute(statement)
        database.close()

    return change


def _of_another_account(bench: Bench, ledger: Path) -> None:
    box = Box()
    for n in range(5):
        box.put(f"uid{n}", message(100 + n))
    put_before(bench.server, box)
    with Archive(bench.root / "another") as archive:
        archive.collect(evolve(bench.account, user="me", host="localhost"))
    shutil.copy(bench.root / "another" / ".pymailbox" / "ledger.db", ledger)


def _older(bench: Bench, ledger: Path) -> None:
    with Archive(bench.root / "older") as archive:
        bench.box(later=False)
        archive.collect(bench.account, limit=4)
        shutil.copy(bench.root / "older" / ".pymailbox" / "ledger.db", bench.root / "older.db")
    with Archive(ledger.parent.parent) as archive:  # the files of the same messages, of which it knows four
        names = {record.uid: record.name for record in archive if record.uid}
    with sqlite3.connect(bench.root / "older.db") as database:
        known = [uid for (uid,) in database.execute("SELECT uid FROM message")]
    database.close()
    with sqlite3.connect(ledger) as database:
        keep = ", ".join(f"'{names[uid]}'" for uid in known)
        database.execute(f"DELETE FROM message WHERE name NOT IN ({keep})")
    database.close()


def _directory(_: Bench, ledger: Path) -> None:
    ledger.unlink()
    ledger.mkdir()


def _written(data: bytes) -> Callable[[Bench, Path], None]:
    def change(_: Bench, ledger: Path) -> None:
        ledger.write_bytes(data)

    return change


def _foreign_in_wal_mode(_: Bench, ledger: Path) -> None:
    ledger.unlink()
    with sqlite3.connect(ledger) as database:
        database.execute("PRAGMA journal_mode=wal")
        database.execute("CREATE TABLE places (url TEXT)")
        database.execute("INSERT INTO places VALUES ('https://example.com')")
    database.close()


DAMAGES: dict[str, tuple[Callable[[Bench, Path], None], str | None]] = {
    "newer": (_sql("PRAGMA user_version=2"), "newer pymailbox"),
    "negative version": (_sql("PRAGMA user_version=-1"), "no pymailbox wrote"),
    "foreign": (_sql("PRAGMA application_id=1"), "another program"),
    "foreign, in WAL mode": (_foreign_in_wal_mode, "another program"),
    "without a table": (_sql("DROP TABLE failure"), "no such table"),
    "without a column": (_sql("ALTER TABLE message RENAME COLUMN uid TO uie"), "no such column"),
    "account lost": (_sql("DELETE FROM account"), "account of some messages is missing"),
    "hash changed": (_sql("UPDATE message SET sha256=replace(sha256, 'a', 'b')"), "changed by something else"),
    "uids changed": (_sql("UPDATE message SET uid='later' WHERE uid='uid3'"), "changed by something else"),
    "everything deleted": (_sql("UPDATE message SET server='gone'"), "changed by something else"),
    "text": (_written(b"hello\n" * 1_000), "not a database"),
    "zeros": (_written(bytes(8192)), "not a database"),
    "a directory": (_directory, "not a file"),
    "empty": (_written(b""), None),
    "missing": (lambda _, ledger: ledger.unlink(), None),
    "another account's": (_of_another_account, None),
    "older": (_older, None),
}


@pytest.mark.threat(99)
@pytest.mark.parametrize("damage", DAMAGES)
def test_another_ledger_in_its_place(bench: Bench, damage: str) -> None:
    change, says = DAMAGES[damage]
    for clean in (False, True):
        path = bench.copy()
        ledger = path / ".pymailbox" / "ledger.db"
        change(bench, ledger)
        if says is not None:
            bench.box()
            damaged = {file.name: file.read_bytes() for file in ledger.parent.iterdir() if file.is_file()}
            with pytest.raises(LedgerDamaged, match=says), Archive(path) as archive:
                archive.collect(bench.account)
            left = {file.name: file.read_bytes() for file in ledger.parent.iterdir() if file.is_file()}
            assert left.keys() - damaged.keys() <= {"ledger.db-journal"}
            assert {name: left[name] for name in damaged if name != "lock"} == {
                name: data for name, data in damaged.items() if name != "lock"
            }
        assert trial(bench, path, clean=clean, rebuild=change is _of_another_account) == (says is not None)


def test_a_ledger_that_cannot_be_written_stops_the_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = sqlite3.connect
    path = bench.copy()
    before = files_of(path)
    with monkeypatch.context() as patch:
        patch.setattr(
            sqlite3,
            "connect",
            lambda where, **options: real(f"file:{where}?mode=ro", uri=True, **options),
        )
        box = bench.box()
        with pytest.raises(OSError, match="cannot be read or written"), Archive(path) as archive:
            archive.collect(bench.account, keep=Keep.nothing())
        assert not box.deleted
        assert before.items() <= files_of(path).items()
        with Archive(path) as archive:  # reading works
            assert len(list(archive)) == len(MAILS)
    assert not trial(bench, path, clean=False)


def test_verify_finds_each_changed_bit_of_a_message(bench: Bench) -> None:
    chosen = random.Random(17)
    with Archive(bench.root / "a") as archive:
        for path in [record.path for record in archive]:
            data = path.read_bytes()
            for changed in flips(data, 10, chosen.randrange(1000)):
                path.write_bytes(changed)
                found = archive.verify()
                assert not found
                assert found.damaged == (path,)
            path.write_bytes(data)
        assert archive.verify()


def test_a_changed_file_keeps_its_message_on_the_server(bench: Bench) -> None:
    path = bench.root / "a"
    with Archive(path) as archive:
        damaged, missing, short, *_ = (record.path for record in archive if record.uid and record.uid.startswith("uid"))
        damaged.write_bytes(damaged.read_bytes().replace(b"xx", b"xy", 1))
        missing.unlink()
        short.write_bytes(short.read_bytes()[:-1])
        for run in (
            lambda: archive.clean(bench.account, Keep.nothing(), at_most=1),
            lambda: archive.collect(bench.account, keep=Keep.nothing()),
        ):
            box = bench.box(later=False)
            done = run()
            assert {"uid0", "uid1", "uid2"} <= set(box.uids)
            assert any("verify" in note for note in done.notes)


def test_a_file_that_cannot_be_read_is_damaged_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one with a bad sector: the others are verified, rebuilt and deleted, and its message stays."""
    box = Box()
    for n in range(3):
        box.put(f"u{n}", message(n))
    real = stored_form.wire_chunks

    def chunks(path: str | Path, form: stored_form.Form) -> Iterator[bytes]:
        if Path(path).name.startswith(bad):
            raise OSError(errno.EIO, "Input/output error", str(path))
        return real(path, form)

    def beginning(path: str | Path, most: int) -> bytes:
        return next(chunks(path, "w"))[:most]

    monkeypatch.setattr(stored_form, "_beginning", beginning)
    for module in (stored_form, deleting):
        monkeypatch.setattr(module, "wire_chunks", chunks)
    bad = "none"
    with serve(box) as server, Archive(tmp_path / "a") as archive:
        archive.collect(account_of(server))
        bad = next(iter(archive)).name
        found = archive.verify()
        assert ([path.name for path in found.damaged], found.missing) == ([bad], ())
        done = archive.collect(account_of(server), keep=Keep.nothing())
        assert done.deleted == 2
        assert "missing or damaged" in done.notes[0]
        assert box.uids == ["u0"]
        archive.close()
        rebuilt = Archive.rebuild(tmp_path / "a")
        assert (rebuilt.messages, [path.name for path in rebuilt.damaged]) == (2, [bad])
        assert archive.collect(account_of(server), keep=Keep.nothing()).new == 1
        assert message(0) in {record.raw for record in archive}
