"""Collecting: one run that archives what an account has and, if asked to, makes room on its server.

A run is one or more sessions. QUIT is sent only when all that was downloaded is archived and the ledger says so.
"""

from attrs import evolve

from pymailbox.archive.deleting import Deletions
from pymailbox.archive.results import Collected
from pymailbox.archive.run import Run
from pymailbox.archive.session import CollectSession
from pymailbox.errors import CommitError, LoginDelay, MailboxError, MailboxLocked, TemporaryFailure
from pymailbox.pop3.dispatcher import NO_PIPELINING

__all__ = ["collect"]


def collect(run: Run) -> Collected:
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
