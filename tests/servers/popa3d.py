"""popa3d 1.0 implements only RFC 1939: no CAPA, TLS, SASL or APOP, and status lines without text."""

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from . import namespace, seed
from .packages import unpacked
from .processes import serving, workplace
from .server import PASSWORD, USER, Login, RealServer

__all__ = ["popa3d"]

FRESH = 500  # users known to the system from the start; their mailboxes are created on demand
UID = 5001  # of all users, because the server does not require different owners
PAM = "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_permit.so\n"


@contextmanager
def popa3d(*, mails: Sequence[seed.Mail] | None = None) -> Iterator[RealServer]:
    """Run popa3d on mbox files until the block ends; ServerMissingError if it cannot run here."""
    root = unpacked("popa3d")
    namespace.require("popa3d")
    held = tuple(seed.mails() if mails is None else mails)
    mbox = b"".join(seed.ENVELOPE + _boxed(mail.raw) + b"\n" for mail in held)
    with workplace("popa3d") as home:
        log = home / "log"
        log.touch()
        boxes = home / "mail"
        boxes.mkdir()
        boxes.chmod(0o1777)
        users = (USER, *(f"fresh{number}" for number in range(1, FRESH + 1)))
        etc = home / "etc"
        people = {"popa3d": (4999, Path("/nonexistent"))} | dict.fromkeys(users, (UID, home))
        namespace.accounts(etc, people, password_hash=namespace.PASSWORD_HASH)
        (etc / "pam.d").mkdir()
        (etc / "pam.d" / "popa3d").write_text(PAM)

        def deliver(user: str) -> None:
            box = boxes / user
            box.write_bytes(mbox)
            box.chmod(0o600)
            os.chown(box, UID, UID)

        deliver(USER)
        numbers = count(1)

        def fresh() -> Login:
            user = f"fresh{next(numbers)}"
            deliver(user)
            return Login(user, PASSWORD)

        def launch(ports: tuple[int, ...]) -> list[str]:
            spawner = Path(__file__).with_name("spawner.py")
            run = shlex.join(("exec", sys.executable, "-I", str(spawner), str(ports[0]), "/usr/sbin/popa3d"))
            return namespace.command(home, root, f"mkdir -p /var/lib/popa3d\n{run}")

        with serving(launch, ports=1, log=log, contained=True) as (port,):
            yield RealServer(
                name="popa3d",
                port=port,
                features=frozenset({"top", "uidl", "user"}),
                mails=held,
                stored=tuple(_sent(mail.raw) for mail in held),
                log=log,
                fresh=fresh,
            )


def _boxed(raw: bytes) -> bytes:
    """Return a message as stored in an mbox, between its envelope line and the empty line after it."""
    return seed.from_quoted(raw) + (b"" if raw.endswith(b"\n") else b"\n")


def _sent(raw: bytes) -> bytes:
    """Return the result of RETR; if a header does not end, the empty line after the message ends it."""
    boxed = _boxed(raw)
    return seed.crlf_always(boxed if b"\n\n" in b"\n" + boxed else boxed + b"\n")
