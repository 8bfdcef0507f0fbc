"""courier 1.0 has UTF8 (RFC 6856) and no response codes, and loses what is pipelined after PASS."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from . import certificates, namespace, seed
from .maildir import Maildirs
from .packages import unpacked
from .processes import serving, workplace
from .server import PASSWORD, USER, Login, RealServer

__all__ = ["courier"]

FRESH = 500  # users in the user database from the start; their mailboxes are created on demand
UID = 5001
SERVER = 4999  # the account "courier", to which the TLS helper switches
MECHANISMS = ("LOGIN", "PLAIN", "CRAM-MD5", "CRAM-SHA1", "CRAM-SHA256")


@contextmanager
def courier(*, mails: Sequence[seed.Mail] | None = None, tls_required: bool = False) -> Iterator[RealServer]:
    """Run courier until the block ends; ServerMissingError if it cannot run here."""
    root = unpacked("courier")
    namespace.require("courier")
    held = tuple(seed.mails() if mails is None else mails)
    with workplace("courier") as home:
        log = home / "log"
        log.touch()
        made = certificates.make(home / "tls", USER)
        boxes = Maildirs(home / "homes", [mail.raw for mail in held], owner=(UID, UID))
        boxes.make(USER)
        etc = home / "etc" / "courier"
        namespace.accounts(home / "etc", {"courier": (SERVER, home)})
        etc.mkdir()
        _write_users(etc / "userdb", boxes.directory)
        _write_authdaemonrc(root, etc)
        pem = etc / "pop3d.pem"
        pem.write_bytes(made.server.read_bytes())
        pem.chmod(0o600)
        os.chown(pem, SERVER, SERVER)

        def launch(ports: tuple[int, ...]) -> list[str]:
            values = {
                "port": ports[0],
                "tls_port": ports[1],
                "required": int(tls_required),
                "mechanisms": " ".join(MECHANISMS),
            }
            return namespace.command(home, root, _SCRIPT.format(**values))

        numbers = count(1)

        def fresh() -> Login:
            user = f"fresh{next(numbers)}"
            boxes.make(user)
            return Login(user, PASSWORD)

        with serving(launch, ports=2, log=log, contained=True) as (port, tls_port):
            yield RealServer(
                name="courier",
                port=port,
                tls_port=tls_port,
                ca=made.ca,
                features=frozenset(
                    {
                        "capa",
                        "implementation",
                        "login-delay",
                        "pipelining",
                        "sasl",
                        "stls",
                        "tls",
                        "top",
                        "uidl",
                        "unique-uids",
                        "user",
                        "utf8",
                    }
                ),
                mechanisms=frozenset(MECHANISMS),
                tls_mechanisms=frozenset(MECHANISMS),
                mails=held,
                stored=tuple(seed.crlf_always(mail.raw) for mail in held),
                log=log,
                fresh=fresh,
            )


def _write_users(userdb: Path, homes: Path) -> None:
    """Write the users; the script replaces @MD5@, @SHA1@ and @SHA256@, using courier's own tool."""
    users = (USER, *(f"fresh{number}" for number in range(1, FRESH + 1)))
    lines = (
        f"{user}\tuid={UID}|gid={UID}|home={homes / user}|shell=/bin/sh|systempw={namespace.PASSWORD_HASH}"
        "|hmac-md5pw=@MD5@|hmac-sha1pw=@SHA1@|hmac-sha256pw=@SHA256@\n"
        for user in users
    )
    userdb.write_text("".join(lines))
    userdb.chmod(0o600)


def _write_authdaemonrc(root: Path, etc: Path) -> None:
    settings = {"authmodulelist": "authuserdb", "DEBUG_LOGIN": "1", "daemons": "2"}
    lines = []
    for line in (root / "etc" / "courier" / "authdaemonrc").read_text().splitlines():
        name = line.partition("=")[0]
        lines.append(f'{name}="{settings[name]}"' if name in settings else line)
    (etc / "authdaemonrc").write_text("\n".join(lines) + "\n")


_SCRIPT = f"""\
for pair in md5:MD5 sha1:SHA1 sha256:SHA256; do
  secret=$(echo {PASSWORD} | userdbpw -hmac-${{{{pair%:*}}}})
  sed -i "s|@${{{{pair#*:}}}}@|$secret|" /etc/courier/userdb
done
makeuserdb -f /etc/courier/userdb
mkdir -p /run/courier/authdaemon
chmod 755 /run/courier /run/courier/authdaemon
export MAXDAEMONS=200 MAXPERIP=200 MAILDIRPATH=Maildir POP3_PROXY=0
export POP3AUTH="{{mechanisms}}" POP3AUTH_TLS="{{mechanisms}}" POP3_STARTTLS=YES POP3_TLS_REQUIRED={{required}}
export COURIERTLS=/usr/bin/couriertls TLS_CERTFILE=/etc/courier/pop3d.pem TLS_VERIFYPEER=NONE
export TLS_TRUSTCERTS=/etc/ssl/certs TLS_STARTTLS_PROTOCOL=TLSv1.2+ MIME_UNICODE_MESSAGE_TYPE=message/global
login="/usr/lib/courier/courier/courierpop3login /usr/lib/courier/courier/courierpop3d Maildir"
listen="couriertcpd -address=127.0.0.1 -maxprocs=200 -maxperip=200 -nodnslookup -noidentlookup"
/usr/lib/courier/courier-authlib/authdaemond &
POP3_TLS=1 POP3_STARTTLS=NO $listen {{tls_port}} /usr/bin/couriertls -server -tcpd $login &
$listen {{port}} $login &
wait -n  # if one ends, end all
exit 1
"""
