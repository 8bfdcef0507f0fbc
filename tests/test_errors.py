"""Every error comes back from another process as it was: its type, text, attributes and notes."""

import pickle
from collections.abc import Iterator

from pymailbox import errors
from pymailbox.errors import CommandError, CommitError, LimitExceeded, MailboxError
from tests import case


def tree(kind: type[MailboxError]) -> Iterator[type[MailboxError]]:
    """Yield a class and all its subclasses."""
    yield kind
    for inner in kind.__subclasses__():
        yield from tree(inner)


def made(kind: type[MailboxError]) -> MailboxError:
    """Return an error with a value of its own in each attribute."""
    if issubclass(kind, LimitExceeded):
        return kind("too much", field="message", command="RETR 7", usable=True)
    if issubclass(kind, CommitError):
        return kind("?", unconfirmed_numbers=[1, 2], unconfirmed=["a", None], response="no", code="SYS/TEMP")
    return kind("why", command="PASS ***", response="no", code="IN-USE", usable=True, retryable=True, retry_after=77.5)


def test_every_error_pickles_whole() -> None:
    """Each class of the tree, with all attributes set, those that are added later included."""
    kinds = set(tree(MailboxError))
    assert {
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MailboxError)
    } <= kinds
    for kind in kinds:
        error = made(kind)
        error.add_note("a note")
        if isinstance(error, CommandError):
            error.refused = {7: CommandError("one of them", code="SYS/PERM")}
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with case(kind, protocol):
                again = pickle.loads(pickle.dumps(error, protocol))
                assert type(again) is kind
                assert (str(again), again.args) == (str(error), error.args)
                assert again.__notes__ == ["a note"]
                kept = {name: value for name, value in vars(error).items() if name != "refused"}
                assert {name: value for name, value in vars(again).items() if name != "refused"} == kept
                for name in ("usable", "retryable", "retry_after", "command", "response", "code", "problem"):
                    assert getattr(again, name) == getattr(error, name)
                if isinstance(error, CommandError):
                    assert [(n, str(e), e.code) for n, e in again.refused.items()] == [(7, "one of them", "SYS/PERM")]


def test_what_a_class_says_of_its_errors_is_kept() -> None:
    """An error without values of its own has those of its class afterwards, and no more."""
    for kind in set(tree(MailboxError)) - {LimitExceeded}:
        with case(kind):
            error = kind("why")
            again = pickle.loads(pickle.dumps(error))
            assert vars(again) == vars(error)
            assert (again.usable, again.retryable, again.retry_after) == (kind.usable, kind.retryable, kind.retry_after)
