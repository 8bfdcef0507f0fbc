"""What runs in another process: errors come back from there, and TLS contexts are made there."""

import pickle
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pymailbox import Account, Keep, MailboxError, MailboxLocked, collect_all
from pymailbox.archive import Collected
from pymailbox.many import worker
from tests.many.servers import PASSWORD, hosts, processes


class Peculiar(Exception):
    """An error that pickles, but cannot be unpickled, which would break a pool of processes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("not a number",)


def test_an_error_returns_from_another_process() -> None:
    """One that is expected is returned, without its causes; another is raised, or described if it cannot be pickled."""
    account = Account("h", "me", PASSWORD, security="none")

    def collected(error: Exception) -> Collected | MailboxError:
        with mock.patch.object(worker, "collect", side_effect=error):
            return worker.collect_elsewhere(Path("nowhere"), account, Keep.everything(), {}, ("run", 1))

    expected = MailboxLocked("in use", retry_after=5.0)
    expected.__cause__ = expected.__context__ = Peculiar("why")
    assert collected(expected) is expected
    assert (expected.__cause__, expected.__context__, expected.__traceback__) == (None, None, None)
    assert repr(pickle.loads(pickle.dumps(expected))) == repr(expected)
    described = pickle.loads(pickle.dumps(collected(Peculiar("a and b"))))
    assert (type(described), str(described)) == (MailboxError, "Peculiar: a and b")
    with pytest.raises(OSError, match="disk") as raised:
        collected(OSError(5, "disk"))
    assert str(pickle.loads(pickle.dumps(raised.value))) == "[Errno 5] disk"


def test_a_private_authority_reaches_other_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSL_CERT_FILE does there what `ssl_context` does in threads, and a run loads the authorities once a process."""
    with hosts(1, 3, security="tls") as (server,):
        accounts = [Account(server.host, user, PASSWORD, port=server.port) for user in server.users or {}]
        context = server.client_context()
        assert all(one.result for one in collect_all(accounts, tmp_path / "threads", ssl_context=context))
        monkeypatch.setenv("SSL_CERT_FILE", str(server.ca))
        for executor in processes():
            assert all(one.result for one in collect_all(accounts, tmp_path / "processes", executor=executor))
        with mock.patch.object(worker, "default_context", wraps=worker.default_context) as made:
            for user in range(3):
                for run in ("one", "two"):
                    path = tmp_path / run / str(user)
                    worker.collect_elsewhere(path, accounts[user], Keep.everything(), {}, (f"{run}{user // 3}", 1))
            assert made.call_count == 6  # the runs took turns
            worker.collect_elsewhere(tmp_path / "two" / "0", accounts[0], Keep.everything(), {}, ("two0", 2))
            assert made.call_count == 6
