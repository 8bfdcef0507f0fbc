"""A copy appears whole or not at all, never replaces another file, and is on disk when it appears."""

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pymailbox import Attachment
from pymailbox.content.saving import SavedFile
from tests import case

posix = pytest.mark.skipif(sys.platform == "win32", reason="no links, FIFOs or modes here")


def save(where: str | os.PathLike[str], data: bytes, *, overwrite: bool = False) -> Path:
    """Save a payload."""
    return Attachment("a.txt", "text/plain", data).save(where, overwrite=overwrite)


def content(directory: Path) -> dict[str, bytes]:
    """Return the files in a directory and their data, hidden files too."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_where_is_a_directory_or_a_file(tmp_path: Path) -> None:
    """A directory that exists, in any form; a string that ends in a separator, which is created; otherwise a file."""
    there = tmp_path / "there"
    there.mkdir()
    for where, expected in (
        (there, there / "a.txt"),
        (str(there), there / "a.txt"),
        (f"{there}/", there / "a.txt"),
        (f"{tmp_path}/new/er/", tmp_path / "new" / "er" / "a.txt"),
        (tmp_path / "b.txt", tmp_path / "b.txt"),
        (str(tmp_path / "c.txt"), tmp_path / "c.txt"),
        (tmp_path / "new" / "d.txt", tmp_path / "new" / "d.txt"),
    ):
        with case(where):
            assert save(where, b"1") == expected
            assert expected.read_bytes() == b"1"


def test_a_tilde_is_not_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` is an ordinary name."""
    monkeypatch.chdir(tmp_path)
    assert save("~/", b"1") == Path("~/a.txt")
    assert content(tmp_path) == {str(Path("~", "a.txt")): b"1"}


def test_misuse_raises_and_creates_nothing(tmp_path: Path) -> None:
    """ValueError or TypeError."""
    for where, overwrite, kind in (
        ("", False, ValueError),
        (tmp_path, True, ValueError),
        (f"{tmp_path}/new/", True, ValueError),
        (f"{tmp_path}/a\0b", False, ValueError),
        (os.fsencode(tmp_path), False, TypeError),
        (5, False, TypeError),
    ):
        with case(where), pytest.raises(kind):
            save(where, b"1", overwrite=overwrite)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_the_same_content_is_left_alone(tmp_path: Path) -> None:
    """In a directory, under any number, and as a file; also with `overwrite`."""
    paths = [save(tmp_path, data) for data in (b"1", b"2", b"33", b"1", b"33", b"2")]
    assert [path.name for path in paths] == ["a.txt", "a (2).txt", "a (3).txt", "a.txt", "a (3).txt", "a (2).txt"]
    before = {path: path.stat() for path in tmp_path.iterdir()}
    save(tmp_path / "a.txt", b"1")
    save(tmp_path / "a.txt", b"1", overwrite=True)
    assert {path: path.stat() for path in tmp_path.iterdir()} == before


def test_other_content_is_replaced_only_on_request(tmp_path: Path) -> None:
    """FileExistsError names the file and says what to do; no other file is left in the directory."""
    path = save(tmp_path / "b.txt", b"old")
    for data in (b"new", b"", b"older"):
        with pytest.raises(FileExistsError, match="overwrite=True") as caught:
            save(path, data)
        assert caught.value.filename == str(path)
    assert content(tmp_path) == {"b.txt": b"old"}
    assert save(path, b"new", overwrite=True) == path
    assert content(tmp_path) == {"b.txt": b"new"}


@posix
def test_anything_that_is_not_a_file_is_never_replaced(tmp_path: Path) -> None:
    """A directory, a FIFO or a dangling link is not touched or waited for: a number is added, or an error raised."""
    (tmp_path / "a.txt").mkdir()
    os.mkfifo(tmp_path / "a (2).txt")
    (tmp_path / "a (3).txt").symlink_to(tmp_path / "nowhere")
    assert save(tmp_path, b"1").name == "a (4).txt"
    for name in ("a (2).txt", "a (3).txt"):
        with pytest.raises(FileExistsError):
            save(tmp_path / name, b"1")
    (tmp_path / "a (5).txt").symlink_to(os.devnull)
    for name in ("a (2).txt", "a (5).txt"):
        with pytest.raises(FileExistsError, match="regular file"):
            save(tmp_path / name, b"1", overwrite=True)
        with pytest.raises(FileExistsError, match="regular file"):
            save(tmp_path / name, b"1")
    assert (tmp_path / "a (5).txt").readlink() == Path(os.devnull)
    (tmp_path / "a (5).txt").unlink()
    save(f"{tmp_path}/a.txt", b"1")  # into that directory
    assert content(tmp_path) == {"a (4).txt": b"1", "a.txt/a.txt": b"1"}
    assert stat.S_ISFIFO((tmp_path / "a (2).txt").lstat().st_mode)


@pytest.mark.threat(100)
@posix
def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    """The content of its target counts as its content; `overwrite` replaces the link itself."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"theirs")
    link = tmp_path / "b.txt"
    link.symlink_to(outside)
    assert save(link, b"theirs") == link
    with pytest.raises(FileExistsError):
        save(link, b"ours")
    assert link.is_symlink()
    save(link, b"ours", overwrite=True)
    assert not link.is_symlink()
    assert (outside.read_bytes(), link.read_bytes()) == (b"theirs", b"ours")


@posix
def test_a_link_to_anything_but_a_file_is_not_replaced(tmp_path: Path) -> None:
    """A device, a FIFO, a loop: the error says what has the name; a link to nothing is replaced only on request."""
    os.mkfifo(tmp_path / "fifo")
    for name, target in (("device", os.devnull), ("to fifo", "fifo"), ("loop", "loop")):
        link = tmp_path / name
        link.symlink_to(target)
        for overwrite in (False, True):
            with case(name, overwrite), pytest.raises(FileExistsError, match="not a regular file") as caught:
                save(link, b"1", overwrite=overwrite)
            assert caught.value.filename == str(link)
            assert str(link.readlink()) == target
    for target in ("nowhere", "device/below"):
        link = tmp_path / "dangling"
        link.symlink_to(target)
        with case(target), pytest.raises(FileExistsError, match=r"leads to nothing .* overwrite=True"):
            save(link, b"1")
        assert save(link, b"1", overwrite=True).read_bytes() == b"1"
        assert not link.is_symlink()
        link.unlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["device", "fifo", "loop", "to fifo"]


@posix
def test_a_directory_cannot_replace_a_file(tmp_path: Path) -> None:
    """`where` ends in `/`, but is a file or is below one."""
    (tmp_path / "b").write_bytes(b"1")
    for where in (f"{tmp_path}/b/", f"{tmp_path}/b/c/"):
        with case(where), pytest.raises(NotADirectoryError) as caught:
            save(where, b"1")
        assert caught.value.filename == where
    assert content(tmp_path) == {"b": b"1"}


@pytest.mark.threat(100)
def test_names_that_differ_in_case_are_two_files_or_numbered(tmp_path: Path) -> None:
    """If the file system ignores case, the second file gets a number: neither is lost."""
    for name, data in (("A.txt", b"1"), ("a.txt", b"2"), ("É.txt", b"3"), ("E\u0301.txt", b"4")):
        Attachment(name, "text/plain", data).save(tmp_path)
    assert sorted(content(tmp_path).values()) == [b"1", b"2", b"3", b"4"]


WAYS: dict[str, int | None] = {"links": None, "no links": errno.EPERM, "not here": errno.ENOTSUP}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return how the file system publishes a name."""
    number = WAYS[request.param]
    if number is not None:

        def link(*_: object, **__: object) -> None:
            raise OSError(number, "no links here")

        monkeypatch.setattr(os, "link", link)
    name: str = request.param
    return name


@pytest.mark.threat(93)
def test_concurrent_saves_lose_nothing(tmp_path: Path, way: str) -> None:
    """Many threads save different contents under one name: each is there, whole, and none is replaced."""
    wanted = [b"%d" % (number % 12) * 1000 for number in range(48)]
    barrier = threading.Barrier(8)
    paths: list[tuple[bytes, Path]] = []

    def work(part: list[bytes]) -> None:
        barrier.wait(60)
        paths.extend((data, save(tmp_path, data)) for data in part)

    threads = [threading.Thread(target=work, args=(wanted[at::8],)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(paths) == len(wanted)
    for data, path in paths:
        assert path.read_bytes() == data
    assert set(content(tmp_path).values()) == set(wanted)
    if way == "links":
        assert len(content(tmp_path)) == 12


@pytest.mark.threat(93)
def test_a_name_taken_at_the_last_moment_is_not_replaced(
    tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the name is taken after it was checked, the step that publishes the file fails."""
    assert way
    real = SavedFile._publish_new

    def late(self: SavedFile, path: Path) -> None:
        if not path.exists():
            path.write_bytes(b"theirs")
        real(self, path)

    monkeypatch.setattr(SavedFile, "_publish_new", late)
    with pytest.raises(FileExistsError):
        save(tmp_path / "b.txt", b"ours")
    assert content(tmp_path) == {"b.txt": b"theirs"}


def failing(monkeypatch: pytest.MonkeyPatch, step: str) -> Callable[[], None]:
    """Make one step fail like a full or broken disk; return a function that undoes that."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    context = pytest.MonkeyPatch()
    context.setattr(
        *{"fsync": (os, "fsync", fail), "link": (os, "link", fail), "replace": (Path, "replace", fail)}[step]
    )
    return context.undo


@pytest.mark.threat(94)
@posix
def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever step fails, no file or new directory is left, and existing files are unchanged."""
    old = save(tmp_path / "old.txt", b"old")
    for step, where, overwrite in (
        ("fsync", f"{tmp_path}/new/er/", False),
        ("fsync", tmp_path / "b.txt", False),
        ("fsync", old, True),
        ("link", f"{tmp_path}/new/", False),
        ("link", tmp_path / "b.txt", False),
        ("replace", old, True),
    ):
        with case(step, where):
            undo = failing(monkeypatch, step)
            try:
                with pytest.raises(OSError, match="No space") as caught:
                    save(where, b"new", overwrite=overwrite)
                if step == "fsync":  # errors of link and replace name two files
                    assert caught.value.filename == str(where)
            finally:
                undo()
            assert sorted(tmp_path.rglob("*")) == [old]
            assert old.read_bytes() == b"old"


@posix
def test_a_full_disk_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    """Whether flushing or writing fails, the error names that file and never the temporary one."""
    code = """
import resource, signal, sys
from pymailbox import Attachment
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for size in (2_000, 2_000_000):
    try:
        Attachment("a.txt", "text/plain", bytes(size)).save(sys.argv[1])
    except OSError as error:
        print(error.filename == sys.argv[1])
"""
    where = str(tmp_path / "b.txt")
    # -B, because Python would cut off the .pyc files that it writes under this limit, and every later import would fail
    done = subprocess.run([sys.executable, "-B", "-c", code, where], capture_output=True, text=True, check=True)
    assert done.stdout == "True\nTrue\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.threat(91)
@posix
@pytest.mark.threat(88)
def test_the_file_is_on_disk_when_save_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is forced to disk, then its directory, including new ones; also a file that was there already."""
    forced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        forced.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")

    monkeypatch.setattr(os, "fsync", fsync)
    save(f"{tmp_path}/new/er/", b"1")
    assert forced == ["directory", "directory", "file", "directory"]
    forced.clear()
    save(f"{tmp_path}/new/er/", b"1")
    assert forced == ["file", "file", "directory"]


def test_many_files_of_one_name_take_no_longer_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message may have thousands of attachments of one name: each is compared with a bounded number of files."""
    tries = 0
    link = os.link

    def counting(source: Path, target: Path) -> None:
        nonlocal tries
        tries += 1
        link(source, target)

    monkeypatch.setattr(os, "link", counting)
    for _ in range(2):  # the second time, nothing is written
        for number in range(40):
            saved = SavedFile(f"{tmp_path}/")
            saved.write(b"%02d" % number)
            path = saved.publish("a.txt")
            assert path.read_bytes() == b"%02d" % number
    assert len(list(tmp_path.iterdir())) == 40
    assert tries < 2 * 40 * 22
