"""A real server: dovecot, into whose Maildir a mail is delivered between two looks."""

import os
import threading
from pathlib import Path

from pymailbox import Account, Watch
from tests.servers import RealServer
from tests.timing import GENEROUS, ended, eventually
from tests.watching.watches import mail


def test_a_code_between_looks(dovecot: RealServer, tmp_path: Path) -> None:
    """It is found, read byte for byte, and left where it is."""
    user, password = dovecot.fresh_user()
    account = Account(dovecot.host, user, password, port=dovecot.port, security="none")
    box = dovecot.log.parent / "mail" / user / "Maildir"
    owner = box.stat()
    raw = mail("Your code: 4711")

    with Watch(account, every=0.1, state=tmp_path / "me.seen") as watch:
        looks: list[int] = []
        look = watch._look
        watch._look = lambda one: (look(one), looks.append(1))[0]  # type: ignore[method-assign]

        def deliver() -> None:
            eventually(lambda: len(looks) > 2)
            path = box / "tmp" / "1.code.example"
            path.write_bytes(raw.replace(b"\r\n", b"\n"))
            os.chown(path, owner.st_uid, owner.st_gid)
            path.rename(box / "new" / path.name)

        thread = threading.Thread(target=deliver)
        thread.start()
        arrival = watch.wait(lambda arrival: "code" in arrival.subject, timeout=GENEROUS)
        ended(thread)
        assert arrival.raw == raw
        assert arrival.uid
        arrival.done()
    with Watch(account, every=0.1, state=tmp_path / "me.seen") as watch:
        looks.clear()
        for _ in range(2):
            try:
                watch.wait(timeout=0.15)
            except TimeoutError:
                continue
            raise AssertionError("handed out again")
    assert len([path for part in ("new", "cur") for path in (box / part).glob("1.code*")]) == 1
