"""Collecting: one run that archives what an account has and, if asked to, makes room on its server.

A run is one or more sessions. QUIT is sent only when all that was downloaded is archived and the ledger says so.
"""

from attrs import evolve

from pymailbox.account import Account, account_name, check_account
from pymailbox.archive.deleting import Deletions
from pymailbox.archive.failed_runs import FailedRuns
from pymailbox.archive.keep import Keep
from pymailbox.archive.ledger import Ledger
from pymailbox.archive.maildir import Maildir
from pymailbox.archive.results import Collected
from pymailbox.archive.run import Run, RunOptions
from pymailbox.archive.session import CollectSession
from pymailbox.disk import disk_errors
from pymailbox.errors import CommitError, LedgerDamaged, LoginDelay, MailboxError, MailboxLocked, TemporaryFailure
from pymailbox.mailbox.mailbox import Mailbox
from pymailbox.mailbox.options import MailboxOptions
from pymailbox.pop3.dispatcher import NO_PIPELINING

__all__ = ["check_collect", "run"]


def check_collect(account: Account, keep: Keep, options: MailboxOptions, *, dry_run: bool = False) -> None:
    """Raise TypeError or ValueError for what `collect` would refuse; connects to nothing and makes nothing."""
    check_account(account)
    if not isinstance(keep, Keep):
        raise TypeError(f"keep must be a Keep, such as Keep(days=30), not {keep!r}")
    if options.get("read_only") and not (dry_run or keep.keeps_everything):
        raise ValueError("read_only=True deletes nothing, so keep must be Keep.everything(); or use dry_run=True")
    if options.get("sock") is not None:
        raise ValueError("a run may open several sessions, so it cannot use sock=")
    Mailbox.from_account(account, **options)


def run(
    ledger: Ledger,
    layout: Maildir,
    failed_runs: FailedRuns,
    account: Account,
    asked: RunOptions,
    options: MailboxOptions,
) -> Run:
    """Archive, or delete, what is asked; note how it failed, and when the next run makes sense."""
    row = ledger.account(account_name(account))
    if row.one_by_one:
        options["pipelining"] = False
    inbox = Mailbox.from_account(account, **options)
    work = Run(ledger, layout, inbox, row, asked)
    try:
        with disk_errors(layout.root):
            _collect(work)
    except LedgerDamaged:  # nothing more is written to such an archive
        raise
    except (MailboxError, ValueError, OSError) as error:
        if not asked.dry_run:
            wait = getattr(error, "retry_after", None) or 0
            failed_runs.failed(row.name, error, max(wait, inbox.capabilities.login_delay or 0))
        raise
    if not asked.dry_run:
        failed_runs.done(row.name, max(work.retry_after or 0, inbox.capabilities.login_delay or 0))
    return work


def _collect(run: Run) -> Collected:
    """Run sessions until one brings nothing new."""
    run.begin()
    try:
        return _run_sessions(run)
    finally:
        run.writer.close()


def _run_sessions(run: Run) -> Collected:
    while True:
        before = run.handled
        try:
            complete = _run_session(run)
        except (LoginDelay, MailboxLocked, TemporaryFailure) as error:
            if not run.further:
                raise
            run.retry_after = error.retry_after
            run.note(f"more messages may be there: {error.problem}")
            return run.result
        if run.asked.dry_run or run.stopped or run.left == 0:
            return run.result
        if complete and before == run.handled:
            return run.result
        run.further = True


def _run_session(run: Run) -> bool:
    """Run one session; return whether it did all that there was to do."""
    session: CollectSession | None = None
    try:
        with run.inbox as inbox:
            session = CollectSession(run, inbox, Deletions(run.ledger, run.layout, inbox, run.writer.first))
            complete = session.run()
    except MailboxError as error:
        unverified = NO_PIPELINING & run.inbox.connection.quirks
        if not unverified or run.account.one_by_one or isinstance(error, CommitError):
            if session is not None:
                session.blame(error)
            raise
        run.account.one_by_one = 1  # the next session of this mailbox does not pipeline, nor will later runs
        run.writer.settle()
        return False
    deleted = session.deletions.confirm()
    for row in deleted:
        run.index.add(row)
        run.deleted_rows.add(row.id)
        if row.uid is not None:
            run.deleted_uids.add(row.uid)
    notes = [note for note in run.done.notes if note not in run.told]  # this session has tried those again
    run.told = list(session.failures.values())
    run.done = evolve(
        run.done,
        deleted=run.done.deleted + len(deleted),
        failed=len(session.failures),
        notes=(*notes, *run.told),
    )
    return complete
