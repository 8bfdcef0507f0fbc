"""Find out what a server really does, and give advice: `pymailbox.diagnose`, and `pymailbox doctor` in the shell.

The package is not called `diagnose`, because importing a module of that name would replace the function.
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
    """Find out what a server really does, and return a report with advice.

    `target` is a POP URL, an account, or a mailbox that is not open; `options` are those of `Mailbox`. The diagnosis
    usually takes two sessions, and a few more if the server breaks one. The last session reads up to three small
    messages, unless the server advertises EXPIRE 0. No message is marked or deleted. A session that read a message ends
    without QUIT, because after QUIT some servers hide what was read.

    Whatever goes wrong (unknown host, certificate, password, silence) is part of the report, which also says how far
    the diagnosis got. Raises only ValueError or TypeError, for invalid arguments. The report never contains a secret.

    >>> from pymailbox import diagnose
    >>> from pymailbox.testing import Server
    >>> with Server([b"Subject: hello\\r\\n\\r\\nworld\\r\\n"], uidl=False) as server:
    ...     report = diagnose(server.url, "secret")
    >>> report.opened, report.probes["TOP"].works, report.probes["UIDL"].works
    (True, True, False)
    """
    if isinstance(target, Mailbox):
        if password is not None or options:
            raise TypeError("a password and options can be passed with a URL or an account, but not with a Mailbox")
        mailbox = target
    elif isinstance(target, Account):
        account = target if password is None else evolve(target, password=password)
        mailbox = Mailbox.from_account(account, **options)
    else:
        mailbox = Mailbox.from_url(target, password, **options)
    run = DiagnosisRun(mailbox)
    run.run()
    return run.conclude()
