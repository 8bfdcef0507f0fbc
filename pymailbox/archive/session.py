"""CollectSession: one session of a run, from the listing to the last DELE. QUIT is its caller's."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from attrs import define, evolve, field

from pymailbox.archive.deleting import Deletions
from pymailbox.archive.identity import Plan, all_changed, plan
from pymailbox.archive.keep import Listed
from pymailbox.archive.ledger import FailureRow, MessageRow
from pymailbox.archive.maildir import uid_hash
from pymailbox.archive.run import Run
from pymailbox.archive.stored_form import StagedFile
from pymailbox.errors import (
    CommandError,
    DiskFull,
    LimitExceeded,
    MailboxError,
    NotSupported,
    ProtocolError,
    UidsChanged,
)
from pymailbox.mailbox.mailbox import Mailbox
from pymailbox.pop3 import commands
from pymailbox.progress import Meter, Progress

__all__ = ["CollectSession"]

_AT_ONCE = 1_000  # messages asked for in one pipeline, and deletions pending before they are committed
_DELETING_SECONDS = 600.0  # after which pending deletions are committed
_COMPARED = 10  # messages under new uids that are looked at first, to see whether all uids have changed
_TRIES = 3  # after which a message is set aside
_RESERVE = 16 << 20  # bytes that stay free on the disk


@define(eq=False, repr=False)
class CollectSession:
    """One session of a run."""

    work: Run
    inbox: Mailbox
    deletions: Deletions
    uids: Sequence[str | None] = field(default=(), init=False)
    sizes: Sequence[int | None] = field(default=(), init=False)  # empty: LIST was not asked
    listed: set[str | None] = field(factory=set, init=False)
    #: What was fetched in this session and may still be marked, by number.
    read: dict[int, MessageRow] = field(factory=dict, init=False)
    #: The numbers of messages that are fetched because their uids do not say whether they are archived.
    compared: set[int] = field(factory=set, init=False)
    _staging: StagedFile | None = field(default=None, init=False)
    #: The message that was being downloaded when the session ended.
    _last_asked: int | None = field(default=None, init=False)
    # Progress: of all that is wanted, of the pipelines that are done, of the one that runs.
    _total: tuple[int | None, int] = field(default=(None, 0), init=False)
    _reported: tuple[int, int] = field(default=(0, 0), init=False)
    _last: Progress = field(default=Progress(0, None, 0, 0), init=False)
    _deleting_since: float | None = field(default=None, init=False)
    #: What to report of messages that could not be fetched, by number.
    failures: dict[int, str] = field(factory=dict, init=False)

    def run(self) -> bool:
        """Return whether all was done. The caller sends QUIT."""
        work = self.work
        try:
            self.uids = self.inbox.uids
        except NotSupported:
            self.uids = (None,) * len(self.inbox)
        self.listed = set(self.uids)
        work.writer.begin_session()
        self._settle_doubts()
        result = self._plan()
        if self._recognise_names([*result.unknown, *result.doubtful]):
            result = self._plan()
        aside = {number for number in (*result.unknown, *result.doubtful) if self._is_set_aside(number)}
        wanted = [] if work.asked.at_most is not None else self._in_order({*result.unknown, *result.doubtful} - aside)
        new = wanted[: work.left]  # at most, as some may turn out to be archived
        may_go = self._may_go(result, new) & {*new, *result.known}
        self._brake(len(may_go))
        if not work.further:
            work.there = len(self.inbox)
            work.done = evolve(work.done, known=len(result.known) + len(result.shared))
            if result.shared and work.may_delete and not (work.asked.renumbered or work.asked.keep.keeps_everything):
                work.note(f"{len(result.shared)} stay, as they share their uids with other messages")
            if result.doubtful and work.asked.at_most is not None:
                work.note(f"{len(result.doubtful)} stay until collect has compared them with what is archived")
        work.done = evolve(work.done, set_aside=len(aside))
        if work.asked.dry_run:
            size = sum(self._size(number) or 0 for number in new)
            work.new, work.size = len(new), size
            work.done = evolve(work.done, deleted=len(may_go))
            return True
        self._check_space(new)
        self.compared = set(wanted)
        sizes = [self._size(number) for number in new]
        self._total = None if None in sizes else sum(size or 0 for size in sizes), len(new)
        if new or not work.further:
            self._tell(0, 0)
        if not work.asked.renumbered and not all(map(self.listed.__contains__, work.index.uids)):
            asked = set(new)
            self._compare([number for number in result.unknown if number in asked][:_COMPARED])
        complete = self._fetch(wanted, may_go)
        complete = complete and self._delete_known(result, may_go)
        whole = complete and work.asked.limit is None and not aside and not work.failures and not self.deletions.marked
        if work.asked.at_most is None or self.deletions.marked:  # `clean` alone does not look whether all is archived
            work.account.count = len(self.inbox) if whole else None
            work.account.size = self.inbox.size if whole else None
        work.account.ended = int(work.now())
        work.writer.settle()
        self.deletions.note()
        for note in self.deletions.kept:
            work.note(note)
        return complete

    # --- the listing --------------------------------------------------------------------------------------

    def _settle_doubts(self) -> None:
        """See which deletions of a run whose QUIT was never confirmed have happened."""
        work = self.work
        doubtful = list(work.ledger.messages("account = ? AND server = 'deleting'", (work.account.id,)))
        if doubtful:
            with work.ledger.transaction():
                for row in doubtful:
                    row.server = "there" if row.uid in self.listed else "gone"
                    work.ledger.put(row)
                    work.index.add(row)

    def _size(self, number: int) -> int | None:
        return self.sizes[number - 1] if self.sizes else None

    def _plan(self) -> Plan:
        """Sort the listing. LIST is not asked if all uids are known and STAT is what it was after the last run."""
        work = self.work
        result = plan(self.uids, (), work.index)
        unchanged = (work.account.count, work.account.size) == (len(self.inbox), self.inbox.size)
        if result.unknown or result.doubtful or not unchanged or work.asked.keep.bytes is not None:
            self.sizes = self.inbox.sizes
            result = plan(self.uids, self.sizes, work.index)
        return result

    def _recognise_names(self, numbers: Iterable[int]) -> bool:
        """Find messages whose uid only the name of their file still has: after a rebuild, or with an older ledger.

        Return whether the listing means something else now. Where a uid has several files, or none of its own, the
        messages are fetched and compared.
        """
        work = self.work
        numbers = list(numbers)
        if not numbers:
            return False
        self._adopt_files()
        rows: defaultdict[str, list[MessageRow]] = defaultdict(list)
        for row in work.ledger.messages("uid IS NULL"):
            rows[row.uid_hash].append(row)
        if not rows:
            return False
        uids = {uid_hash(work.account.name, self.uids[number - 1] or ""): self.uids[number - 1] for number in numbers}
        found = False
        for label, uid in uids.items():
            if uid is not None and uid not in work.index.uids and len(rows[label]) == 1:
                work.index.add(work.writer.meet(rows[label][0], uid, None))
                found = True
        return found

    def _adopt_files(self) -> None:
        """Give the files that the ledger lacks their rows, once in each run, before anything is fetched."""
        work = self.work
        if work.adopted:
            return
        work.ledger.check()
        files = work.layout.files_by_name(known=work.ledger.names())
        rows = [row for file in files.values() if (row := work.writer.adopt(file)) is not None]
        if rows:
            work.layout.disk.sync_everything()
            with work.ledger.transaction():
                for row in rows:
                    work.ledger.put(row)
        work.adopted = True

    def _at(self, number: int) -> int:
        """Return where the index has a known message."""
        at = self.work.index.find(self.uids[number - 1] or "", self._size(number))
        assert at is not None
        return at

    def _in_order(self, numbers: Iterable[int]) -> list[int]:
        """Return what is to be fetched, that which failed before last: it may be what ends the session."""
        failures = self.work.failures
        times = {number: failures[uid].times for number in numbers if (uid := self.uids[number - 1] or "") in failures}
        return sorted(numbers, key=lambda number: (times.get(number, 0), number))

    def _is_set_aside(self, number: int) -> bool:
        failure = self.work.failures.get(self.uids[number - 1] or "")
        return failure is not None and failure.times >= _TRIES and failure.size == self._size(number)

    def _may_go(self, result: Plan, wanted: Iterable[int]) -> set[int]:
        """Return the numbers of the messages that do not have to stay on the server once they are archived."""
        work = self.work
        if not work.may_delete or work.asked.renumbered or work.asked.keep.keeps_everything:
            return set()
        seen = dict.fromkeys(wanted, work.began)
        seen |= {number: work.index.first_seen[self._at(number)] for number in result.known}
        listing = [Listed(self._size(number), seen.get(number)) for number in range(1, len(self.uids) + 1)]
        return work.asked.keep.released(listing, work.began)

    def _brake(self, going: int) -> None:
        at_most = self.work.asked.at_most
        if at_most is not None and not self.work.further and going > at_most * len(self.inbox):
            raise MailboxError(
                f"{going} of {len(self.inbox)} messages would be deleted, more than at_most={at_most:g} allows;"
                " nothing was deleted. Pass a larger at_most, or --at-most, if that is what you want"
            )

    def _check_space(self, wanted: Sequence[int]) -> None:
        if not wanted:
            return
        import shutil

        needed = sum(self._size(number) or 0 for number in wanted)
        free = shutil.disk_usage(self.work.layout.root).free
        if needed + _RESERVE > free:
            raise DiskFull(
                f"the new messages need {needed:,} bytes, and {_RESERVE:,} are to stay free, but {free:,} are free"
                f" on the disk of {str(self.work.layout.root)!r}; free some space, or pass a limit"
            )

    # --- fetching -----------------------------------------------------------------------------------------

    def _compare(self, numbers: Sequence[int]) -> None:
        """Fetch some messages with new uids, and see whether they are archived under uids that are gone."""
        work, matched = self.work, []
        for number, staged in self._staged(numbers):
            same = work.writer.recognise(staged, self.uids[number - 1], self.listed, gone=True)
            if same is not None and same.uid is not None:
                matched.append((number, staged))
            else:
                self._take(number, staged)
        if all_changed(len(matched), len(numbers)):
            for _, staged in matched:
                staged.discard()
            work.writer.settle()
            raise UidsChanged(
                f"{len(matched)} of {len(numbers)} messages with new uids are archived under uids that the server"
                " no longer lists; nothing was deleted. Pass renumbered=True, or --renumbered, to recognise messages by"
                " their content"
            )
        for number, staged in matched:
            self._take(number, staged)

    def _fetch(self, numbers: Sequence[int], may_go: set[int]) -> bool:
        """Archive messages, and mark those that may go; return whether all were asked for.

        With a limit no more are asked for together than may be new: what was downloaded has to be archived.
        """
        work = self.work
        read = [number for number in numbers if number in self.read]
        left = [number for number in numbers if number not in self.read and number not in self.failures]
        at = 0
        while read or at < len(left):
            asked = left[at : at + (_AT_ONCE if work.left is None else min(_AT_ONCE, work.left))]
            for number, staged in self._staged(asked):
                self._take(number, staged)
                work.writer.advance()
                if work.stopped and number != asked[-1]:
                    return self._cut_off()
            work.writer.flush()
            self._tell(*self._reported)
            read += [number for number in asked if number in self.read]
            self._mark([(number, self.read[number]) for number in read if number in may_go])
            if self._is_full() or work.stopped:
                return False
            read, at = [], at + len(asked)
            if work.left == 0:
                break
            if at < len(left) and len(self.read) >= _AT_ONCE:
                self.read.clear()
        return True

    def _cut_off(self) -> bool:
        """End the session without QUIT, as messages that are not archived may have been downloaded."""
        self.work.writer.settle()
        self.inbox.rollback()
        self.deletions.marked.clear()
        return False

    def _staged(self, numbers: Sequence[int]) -> Iterator[tuple[int, StagedFile]]:
        """Yield each message with the file that it was written to; those that are refused are written down."""
        work, missed = self.work, dict.fromkeys(numbers)
        meter = Meter(self._report, map(self._size, numbers))
        try:
            for number, staged in self._downloaded(numbers, meter):
                del missed[number]
                size = self._size(number)
                if isinstance(staged, MailboxError):
                    meter.finish(size, 0)
                    self._failed(number, staged)
                    continue
                self._staging = None
                meter.finish(size, staged.size)
                if staged.size == 0 and (size or 0) > len(b"\r\n"):
                    staged.discard()
                    self._failed(number, ProtocolError(f"it came empty, although LIST gives {size:,} bytes"))
                else:
                    yield number, staged
            meter.end()
        except (MailboxError, OSError):
            self._last_asked = next(iter(missed), None)
            work.writer.settle()  # the session has ended, or the disk is full: what came whole is kept
            raise
        finally:
            if self._staging is not None:
                self._staging.discard()
                self._staging = None
        self._reported = (self._reported[0] + self._last.bytes, self._reported[1] + self._last.messages)

    def _downloaded(self, numbers: Sequence[int], meter: Meter) -> Iterator[tuple[int, StagedFile | MailboxError]]:
        """Yield each message with its file, or its refusal. Those that fit into the window come in a pipeline."""
        limits = self.inbox.connection.limits
        window = min(limits.window, limits.message)

        def fits(number: int) -> bool:
            size = self._size(number)
            return size is not None and size <= window

        for together, group in itertools.groupby(numbers, fits):
            if not together:
                for number in group:
                    yield number, self._streamed(number, meter)
                continue
            run = list(group)
            asked = (commands.retr(number, size=self._size(number)) for number in run)
            for number, body in zip(run, self.inbox.connection.pipeline(asked), strict=True):
                if not isinstance(body, CommandError):
                    staged = self._stage(number)
                    staged.write(body)
                    staged.finish()
                    meter.add(len(body))
                    yield number, staged
                elif body.usable:
                    yield number, body
                else:
                    raise body

    def _streamed(self, number: int, meter: Meter) -> StagedFile | MailboxError:
        """Return the file of a message that is not held in memory, or its refusal."""
        staged = self._stage(number)

        def write(data: bytes) -> None:
            staged.write(data)
            meter.add(len(data))

        try:
            for _ in self.inbox.fetch(self.inbox[number - 1], into=lambda _: write):
                pass
        except (CommandError, LimitExceeded) as error:
            if not error.usable:
                raise
            staged.discard()
            self._staging = None
            return error
        staged.finish()
        return staged

    def _stage(self, number: int) -> StagedFile:
        self._staging = staged = self.work.writer.stage(self.uids[number - 1])
        return staged

    def _report(self, progress: Progress) -> None:
        """Report how far the whole session is; `progress` is that of one pipeline."""
        self._last = progress
        self._tell(self._reported[0] + progress.bytes, self._reported[1] + progress.messages)

    def _tell(self, size: int, messages: int) -> None:
        if self.work.asked.progress is not None:
            total = self._total[0] and max(self._total[0], size)
            count, mailbox = max(self._total[1], messages), (len(self.inbox), self.inbox.size)
            self.work.asked.progress(Progress(size, total, messages, count, self.work.writer.safe, mailbox))

    def _take(self, number: int, staged: StagedFile) -> None:
        work, uid = self.work, self.uids[number - 1]
        same = work.writer.recognise(staged, uid, self.listed, gone=work.asked.renumbered)
        row = work.writer.take(staged, uid, self._size(number), same)
        if same is None:
            work.new += 1
            work.size += row.size
            if uid is not None:
                work.archived_uids.add(uid)
        elif same.id < work.writer.first and number in self.compared and not work.further:
            work.done = evolve(work.done, known=work.done.known + 1)
        self._met(number, row)

    def _met(self, number: int, row: MessageRow) -> None:
        self.read[number] = row
        self.work.index.add(row)
        if self.work.failures.pop(self.uids[number - 1] or "", None) is not None:
            self.work.writer.forget_failure(self.uids[number - 1] or "")

    def blame(self, error: MailboxError) -> None:
        """Count the message whose download ended the session as failed: it may end each session."""
        if self._last_asked is not None:
            self._failed(self._last_asked, error)

    def _failed(self, number: int, error: MailboxError) -> None:
        """Count a message that could not be fetched; one without a uid cannot be known again, and is only reported."""
        work, uid = self.work, self.uids[number - 1]
        self.failures[number] = f"message {number} was not archived: {error.problem}"
        if uid and uid not in work.failed:  # once for each run
            work.failed.add(uid)
            times = work.failures[uid].times if uid in work.failures else 0
            row = FailureRow(work.account.id, uid, self._size(number), times + 1, error.problem)
            work.failures[uid] = row
            with work.ledger.transaction():
                work.ledger.put_failure(row)

    # --- deleting -----------------------------------------------------------------------------------------

    def _mark(self, candidates: Sequence[tuple[int, MessageRow]]) -> None:
        work = self.work
        again = [row for _, row in candidates if row.id in work.deleted_rows]
        if again:
            candidates = [(number, row) for number, row in candidates if row.id not in work.deleted_rows]
            work.note(f"{len(again)} not deleted: the server confirmed that before, and lists them again")
        safe = [(number, row) for number, row in candidates if self.deletions.is_safe(row)]
        self.deletions.mark(safe)
        if self.deletions.marked and self._deleting_since is None:
            self._deleting_since = work.clock()
        if len(safe) < len(candidates):
            work.note("messages whose file is missing or damaged were not deleted; verify names them")

    def _is_full(self) -> bool:
        """Whether pending deletions should be committed before there are more."""
        since = self._deleting_since
        return len(self.deletions.marked) >= _AT_ONCE or (
            since is not None and self.work.clock() >= since + _DELETING_SECONDS
        )

    def _delete_known(self, result: Plan, may_go: set[int]) -> bool:
        """Mark what was archived before and may go; return whether all of it was."""
        work = self.work
        known = (number for number in result.known if number in may_go)
        numbers = [number for number in known if work.index.ids[self._at(number)] not in work.spared]
        if numbers:
            work.writer.settle()  # rows are read from the ledger: it has to know what was recognised by name
        for at in range(0, len(numbers), _AT_ONCE):
            asked = numbers[at : at + _AT_ONCE]
            candidates = list(
                zip(asked, work.ledger.rows(work.index.ids[self._at(number)] for number in asked), strict=True)
            )
            # Without a size by LIST what was archived may never have been compared with the server's: after a rebuild
            # the hash is that of the file, whatever had happened to it.
            same = self.deletions.same_header([(number, row) for number, row in candidates if row.listed is not None])
            self._mark(same)
            others = dict(candidates)
            for number, _ in same:
                del others[number]
            self.read.clear()  # each of those was marked, or is to stay
            if others:
                self._adopt_files()  # an older ledger may lack what an earlier run found under these uids
            if not self._fetch(list(others), set()):
                return False
            read = {number: self.read[number] for number in others if number in self.read}
            self._mark([(number, row) for number, row in read.items() if row.id == others[number].id])
            work.spared.update(row.id for number, row in read.items() if row.id != others[number].id)
            if self._is_full() or work.stopped:
                return False
        return True
