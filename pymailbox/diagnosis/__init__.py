"""What a server really does, and advice: `pymailbox.diagnose`, and `pymailbox doctor` on the command line.

It is not called `diagnose`: a module of that name would take the place of the function once it was imported.
"""

from typing import Unpack

from attrs import evolve

from pymailbox.account import Account, Password
from pymailbox.diagnosis.report import Diagnosis
from pymailbox.diagnosis.run import DiagnosisRun
from pymailbox.mailbox.mailbox import Mailbox
from pymailbox.mailbox.options import MailboxOptions

__all__ = ["Diagnosis", "diagnose"]


def diagnose(
    target: Mailbox | Account | str, password: Password | None = None, **options: Unpack[MailboxOptions]
) -> Diagnosis:
    """Find out what a server really does; `target` is a POP URL, an account, or a mailbox that is not open.

    `options` are those of `Mailbox`. Two sessions as a rule, a few more where the server breaks one; in the last, up
    to three small messages are read unless the server lists EXPIRE 0. Nothing is marked or deleted, and a session in
    which a message was read is left without QUIT, as some servers hide what was read once QUIT is said.

    What goes wrong (no such host, certificate, password, silence) is a finding of the report, which says how far it
    came; raised are ValueError and TypeError for misuse only. The report never has a secret in it.

    >>> from pymailbox import diagnose
    >>> from pymailbox.testing import Server
    >>> with Server([b"Subject: hello\\r\\n\\r\\nworld\\r\\n"], uidl=False) as server:
    ...     report = diagnose(server.url, "secret")
    >>> report.opened, report.probes["TOP"].works, report.probes["UIDL"].works
    (True, True, False)
    """
    if isinstance(target, Mailbox):
        if password is not None or options:
            raise TypeError("a mailbox has its password and its options already")
        mailbox = target
    elif isinstance(target, Account):
        account = target if password is None else evolve(target, password=password)
        mailbox = Mailbox.from_account(account, **options)
    else:
        mailbox = Mailbox.from_url(target, password, **options)
    run = DiagnosisRun(mailbox)
    run.run()
    return run.conclude()
