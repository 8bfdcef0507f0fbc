"""cyrus 3.6 has another SASL (SCRAM up to SHA-512), exact sizes and strict commands; mail is delivered with LMTP."""

import os
import smtplib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from . import certificates, namespace, seed
from .packages import unpacked
from .processes import PATIENCE, serving, tail, workplace
from .server import PASSWORD, USER, Login, RealServer, ServerFailedError

__all__ = ["cyrus"]

FRESH = 40  # all users get their mail at the start, in one delivery, so that it is identical byte for byte
ACCOUNT = "cyrus"
UID = 5100
MECHANISMS = (
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
    "DIGEST-MD5",
    "SCRAM-SHA-1",
    "SCRAM-SHA-256",
    "SCRAM-SHA-512",
)
FEATURES = frozenset(
    {
        "apop",
        "auth-resp-code",
        "capa",
        "implementation",
        "login-delay",
        "pipelining",
        "resp-codes",
        "sasl",
        "stls",
        "tls",
        "top",
        "uidl",
        "unique-uids",
        "user",
    }
)
REFUSED = frozenset({"NUL", "no header"})
"""The messages of the seed that cyrus refuses to store, because they violate RFC 5322."""


@contextmanager
def cyrus(
    *, mails: Sequence[seed.Mail] | None = None, fresh_users: int = FRESH, minimum_poll: int = 0
) -> Iterator[RealServer]:
    """Run cyrus until the block ends; ServerMissingError if it cannot run here.

    `minimum_poll`: minutes between two logins of a user; before that, cyrus sends [LOGIN-DELAY]. `fresh_users`: how
    many users `fresh_user()` can return.
    """
    root = unpacked("cyrus")
    namespace.require("cyrus")
    held = tuple(mail for mail in (seed.mails() if mails is None else mails) if mail.name not in REFUSED)
    users = (USER, *(f"fresh{number}" for number in range(1, fresh_users + 1)))
    with workplace("cyrus", in_memory=True) as home:
        log = home / "log"
        log.touch()
        made = certificates.make(home / "tls", USER)
        (home / "tls").chmod(0o755)
        os.chown(made.server, UID, UID)
        namespace.accounts(home / "etc", {ACCOUNT: (UID, home)})
        for part in ("db", "spool", "run", "run/cyrus", "run/cyrus/proc", "run/cyrus/lock", "run/cyrus/socket"):
            (home / part).mkdir()
            os.chown(home / part, UID, UID)
        (home / "users").write_text("".join(f"{user}\n" for user in users))
        (home / "imapd.conf").write_text(_IMAPD.format(home=home, made=made, poll=minimum_poll))

        def launch(ports: tuple[int, ...]) -> list[str]:
            values = {"home": home, "port": ports[0], "tls_port": ports[1], "lmtp_port": ports[2]}
            (home / "cyrus.conf").write_text(_SERVICES.format(**values))
            return namespace.command(home, root, _SCRIPT.format(**values))

        left = list(reversed(users[1:]))

        def fresh() -> Login:
            if not left:
                raise ServerFailedError(
                    f"all {fresh_users} fresh users of cyrus are used up; raise tests.servers.cyrus.FRESH"
                )
            return Login(left.pop(), PASSWORD)

        with serving(launch, ports=3, log=log, contained=True) as (port, tls_port, lmtp_port):
            _deliver(lmtp_port, held, users, log)
            yield RealServer(
                name="cyrus",
                port=port,
                tls_port=tls_port,
                ca=made.ca,
                features=FEATURES,
                mechanisms=frozenset(MECHANISMS),
                tls_mechanisms=frozenset(MECHANISMS)
                | {f"{name}-PLUS" for name in MECHANISMS if name.startswith("SCRAM")},
                mails=held,
                stored=_stored(home / "spool", len(held)),
                log=log,
                fresh=fresh,
            )


def _deliver(port: int, mails: Sequence[seed.Mail], users: Sequence[str], log: Path) -> None:
    """Deliver each message once for all users (RFC 2033), so that cyrus stores one copy under many names."""
    with smtplib.LMTP("127.0.0.1", port, timeout=PATIENCE) as lmtp:
        lmtp.ehlo_or_helo_if_needed()
        for mail in mails:
            replies = [lmtp.mail("alice@example.org"), *(lmtp.rcpt(user) for user in users)]
            replies.append(lmtp.docmd("DATA"))
            text = taken(mail.raw)
            dotted = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in text.split(b"\r\n"))
            lmtp.send(dotted + b".\r\n")
            replies += [lmtp.getreply() for _ in users]
            if refused := [reply for reply in replies if reply[0] >= 400]:
                raise ServerFailedError(f"cyrus refused {mail!r}: {refused[0]}\n{tail(log)}")


def taken(raw: bytes) -> bytes:
    """Return a message as cyrus accepts it, without lone CRs, which it would drop."""
    return seed.crlf(raw.replace(b"\r", b""))


def _stored(spool: Path, count: int) -> tuple[bytes, ...]:
    """Return what cyrus stores: it adds fields at the top of each message, and sends what it stores byte for byte."""
    box = next(spool.rglob("1.")).parent  # that of any user, because they are the same
    return tuple((box / f"{number}.").read_bytes() for number in range(1, count + 1))


_IMAPD = """\
configdirectory: {home}/db
proc_path: /run/cyrus/proc
mboxname_lockpath: /run/cyrus/lock
defaultpartition: default
partition-default: {home}/spool
admins: cyrus
servername: localhost
virtdomains: off
unixhierarchysep: yes
altnamespace: yes
allowanonymouslogin: no
allowplaintext: yes
allowapop: yes
popminpoll: {poll}
poptimeout: 10
failedloginpause: 0
uidl_format: cyrus
autocreate_quota: 0
autocreate_post: yes
autocreate_users: anyone
munge8bit: no
reject8bit: no
lmtp_downcase_rcpt: yes
duplicatesuppression: no
skiplist_unsafe: yes
conversations: no
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {home}/sasldb2
sasl_mech_list: PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 SCRAM-SHA-512 EXTERNAL
tls_server_cert: {made.server}
tls_server_key: {made.server}
tls_client_ca_file: {made.ca}
syslog_prefix: cyrus
"""

_SERVICES = """\
START {{
  recover cmd="/usr/lib/cyrus/bin/ctl_cyrusdb -C {home}/imapd.conf -r"
}}
SERVICES {{
  pop3 cmd="/usr/lib/cyrus/bin/pop3d -C {home}/imapd.conf" listen="127.0.0.1:{port}" prefork=0 maxchild=200 proto=tcp4
  pop3s cmd="/usr/lib/cyrus/bin/pop3d -C {home}/imapd.conf -s" listen="127.0.0.1:{tls_port}" prefork=0 maxchild=200 proto=tcp4
  lmtp cmd="/usr/lib/cyrus/bin/lmtpd -C {home}/imapd.conf -a" listen="127.0.0.1:{lmtp_port}" prefork=0 maxchild=5 proto=tcp4
}}
EVENTS {{
}}
"""

_SCRIPT = f"""\
while read -r user; do echo {PASSWORD} | saslpasswd2 -p -c -f {{home}}/sasldb2 -u localhost "$user"; done < {{home}}/users
chown {ACCOUNT} {{home}}/sasldb2
exec /usr/lib/cyrus/bin/master -C {{home}}/imapd.conf -M {{home}}/cyrus.conf -p {{home}}/master.pid -L {{home}}/log
"""
