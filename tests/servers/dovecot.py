"""dovecot 2.3 has every mechanism, response codes and locking, and any developer can install it.

It runs as root (with mail owned by a user id without an account) or as any user (with everything owned by that user).
"""

import base64
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Literal

from . import certificates, seed
from .maildir import Maildirs
from .processes import PATIENCE, serving, workplace
from .server import PASSWORD, USER, Login, RealServer, ServerFailedError, ServerMissingError
from .tokens import KEY

__all__ = ["MASTER", "MECHANISMS", "dovecot"]

MECHANISMS = (
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
    "DIGEST-MD5",
    "SCRAM-SHA-1",
    "SCRAM-SHA-256",
    "XOAUTH2",
    "OAUTHBEARER",
    "EXTERNAL",
)
MASTER = Login("boss", "b0ss")
"""The master user, who can log in as anyone: ``tester*boss``, or with an authorization identity in PLAIN."""

FRESH = 2000  # users in the passdb from the start; their mailboxes are created on demand
PLAINTEXT = {"PLAIN", "LOGIN"}
HOW = "run apt-get install dovecot-pop3d, or python -m tests.servers install"


@contextmanager
def dovecot(
    *,
    mechanisms: Sequence[str] = MECHANISMS,
    apop: bool = True,
    lock_session: bool = False,
    uidl_format: str = "%08Xu%08Xv",
    delete_type: Literal["expunge", "flag"] = "expunge",
    disable_plaintext_auth: bool = False,
    ssl: Literal["yes", "required", "no"] = "yes",
    certificate: Path | None = None,
    accounts: Mapping[str, str] | None = None,
    mails: Sequence[seed.Mail] | None = None,
    extra: str = "",
) -> Iterator[RealServer]:
    """Run dovecot with these settings until the block ends; ServerMissingError if it is not installed.

    `accounts`: additional users and their passwords, each with a copy of the messages. `certificate`: PEM file of the
    server's key and chain, instead of one signed by `RealServer.ca`. `extra`: configuration that overrides ours.
    dovecot treats a connection from a loopback address to itself as secure, so connect from 127.0.0.2 to see
    `disable_plaintext_auth` and ``ssl="required"``.
    """
    program = _program()
    held = tuple(seed.mails() if mails is None else mails)
    with workplace("dovecot") as home:
        log = home / "log"
        log.touch()
        made = certificates.make(home / "tls", USER)
        boxes = Maildirs(home / "mail", [mail.raw for mail in held], owner=_mail_owner())
        people = {USER: PASSWORD, **(accounts or {})}
        for user in people:
            boxes.make(user)
        _write_accounts(home, people)

        def launch(ports: tuple[int, ...]) -> list[str]:
            settings = _settings(
                home,
                ports,
                f"auth_mechanisms = {' '.join(mechanisms).lower()}{' apop' if apop else ''}",
                f"pop3_lock_session = {'yes' if lock_session else 'no'}",
                f"pop3_uidl_format = {uidl_format}",
                f"pop3_delete_type = {delete_type}",
                f"disable_plaintext_auth = {'yes' if disable_plaintext_auth else 'no'}",
                f"ssl = {ssl}",
                f"ssl_cert = <{certificate or made.server}",
                f"ssl_key = <{certificate or made.server}",
                f"ssl_ca = <{made.ca}",
                extra,
            )
            configuration = home / "dovecot.conf"
            configuration.write_text(settings)
            return [program, "-F", "-c", str(configuration)]

        numbers = count(1)

        def fresh() -> Login:
            user = f"fresh{next(numbers)}"
            boxes.make(user)
            return Login(user, PASSWORD)

        features = {
            "auth-resp-code",
            "capa",
            "pipelining",
            "resp-codes",
            "sasl",
            "top",
            "uidl",
            "unique-uids",
        }
        if ssl != "no":
            features |= {"stls", "tls"}
        if apop:
            features.add("apop")
        if lock_session:
            features.add("in-use")
        offered = frozenset(mechanisms)
        if PLAINTEXT & offered:
            features.add("user")
        try:
            with serving(launch, ports=2, log=log) as (port, tls_port):
                yield RealServer(
                    name="dovecot",
                    port=port,
                    tls_port=None if ssl == "no" else tls_port,
                    ca=None if ssl == "no" else made.ca,
                    client_certificate=None if ssl == "no" else made.client,
                    features=frozenset(features),
                    mechanisms=offered,
                    tls_mechanisms=offered if ssl != "no" else frozenset(),
                    mails=held,
                    stored=tuple(seed.crlf(mail.raw) for mail in held),
                    log=log,
                    fresh=fresh,
                )
        except ServerFailedError as failure:
            if "Unknown protocol: pop3" in str(failure):
                raise ServerMissingError(f"dovecot is installed without POP3; {HOW}") from failure
            raise


def _program() -> str:
    places = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"))
    program = shutil.which("dovecot", path=places)
    if program is None:
        raise ServerMissingError(f"dovecot is not installed; {HOW}")
    version = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True, timeout=PATIENCE
    ).stdout.strip()
    if not version.startswith("2.3."):
        raise ServerMissingError(
            f"dovecot {version or 'of an unknown version'} is installed, but the tests need 2.3 (Debian 12)"
        )
    return program


def _mail_owner() -> tuple[int, int]:
    """Return the owner of the mail; for root, an id without an account, because dovecot does not serve root's mail."""
    return (5000, 5000) if os.geteuid() == 0 else (os.geteuid(), os.getegid())


def _write_accounts(home: Path, people: Mapping[str, str]) -> None:
    fresh = {f"fresh{number}": PASSWORD for number in range(1, FRESH + 1)}
    lines = (f"{user}:{{PLAIN}}{password}::::::\n" for user, password in (fresh | dict(people)).items())
    (home / "passwd").write_text("".join(lines))
    (home / "masters").write_text(f"{MASTER.user}:{{PLAIN}}{MASTER.password}\n")
    key = home / "keys" / "default" / "HS256" / "default"
    key.parent.mkdir(parents=True)
    key.write_text(base64.b64encode(KEY).decode())
    (home / "oauth2.conf.ext").write_text(
        "introspection_mode = local\n"
        f"local_validation_key_dict = fs:posix:prefix={home}/keys/\n"
        "username_attribute = sub\n"
    )


def _settings(home: Path, ports: tuple[int, ...], *chosen: str) -> str:
    uid, gid = _mail_owner()
    port, tls_port = ports
    return "\n".join((_SETTINGS.format(**locals()), *([] if os.geteuid() == 0 else [_rootless()]), *chosen, ""))


def _rootless() -> str:
    """Return settings that run all of dovecot as the present user, without chroot, which only root can use."""
    import grp
    import pwd

    name = pwd.getpwuid(os.geteuid()).pw_name
    group = grp.getgrgid(os.getegid()).gr_name
    jails = "\n".join(f"service {name} {{\n  chroot =\n}}" for name in ("anvil", "pop3-login", "stats"))
    return f"default_login_user = {name}\ndefault_internal_user = {name}\ndefault_internal_group = {group}\n{jails}"


_SETTINGS = """\
protocols = pop3
listen = 127.0.0.1
base_dir = {home}/base
state_dir = {home}/state
instance_name = pymailbox-{port}
log_path = {home}/log
auth_verbose = yes
ssl_verify_client_cert = yes
ssl_require_crl = no
auth_ssl_username_from_cert = yes
ssl_cert_username_field = commonName
auth_failure_delay = 0 secs
auth_master_user_separator = *
mail_location = maildir:~/Maildir
first_valid_uid = 1
mail_max_userip_connections = 500
passdb {{
  driver = passwd-file
  args = {home}/masters
  master = yes
  result_success = continue
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {home}/oauth2.conf.ext
}}
passdb {{
  driver = static
  mechanisms = external
  args = nopassword=y
}}
passdb {{
  driver = passwd-file
  args = {home}/passwd
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={home}/mail/%u allow_all_users=yes
}}
service pop3-login {{
  # One process for all connections: a fork for each would take most of the time of a short test.
  service_count = 0
  inet_listener pop3 {{
    port = {port}
  }}
  inet_listener pop3s {{
    port = {tls_port}
    ssl = yes
  }}
}}
service pop3 {{
  process_limit = 500
}}
service anvil {{
  # Without this, each failed login slows down later ones from the same address.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}"""
