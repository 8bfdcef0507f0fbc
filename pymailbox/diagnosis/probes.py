"""Probes: one question each to a session that is logged in.

A refusal is a finding. Anything worse (silence, a lost connection, nonsense) is raised: the run notes it and
goes on with the next probe in a fresh session.
"""

import time
from contextlib import suppress
from statistics import median
from typing import Any

from pymailbox.diagnosis.findings import Findings
from pymailbox.diagnosis.report import SizeCheck
from pymailbox.errors import CommandError, NotSupported, ProtocolError
from pymailbox.pop3 import commands, flows
from pymailbox.pop3.command import Command
from pymailbox.pop3.commands import Stat
from pymailbox.pop3.connection import Connection

__all__ = ["capa", "listing", "pipelining", "round_trip", "sample", "sizes", "stable", "stat", "top", "uidl"]

_MARGIN = 1000  # lines that a listing may have beyond STAT's count, as mail may arrive in between
_SMALL = 32 * 1024  # octets; larger messages are not read
_LARGEST = 1024 * 1024  # octets; what a message that was listed as small may have
_SAMPLES = 3
_DEPTH = 24  # commands in the pipeline
_LEAST_SECONDS = 5.0  # seconds that a pipeline may be silent


def capa(connection: Connection, findings: Findings) -> None:
    """Ask what it can do now: after the login it is often more."""
    if not connection.session.may_ask_capa:
        findings.probe("CAPA", False, "it ends the session, or was switched off here; not asked again")
        return
    try:
        told = findings.cleaned(connection.run(flows.discover(connection.session)))
    except NotSupported as refused:
        findings.quirks.add("NO_CAPA_AFTER_LOGIN")
        findings.probe("CAPA", False, _refusal(refused, findings) + " after login")
    else:
        findings.learn(capabilities_after_login=told)
        findings.probe("CAPA", True, "after login too")


def stat(connection: Connection, findings: Findings) -> None:
    """Ask how much there is; only then can the account be opened."""
    held = connection.stat()
    findings.learn(count=held.count, size=held.size, opened=True)
    findings.reached("mailbox")


def round_trip(connection: Connection, findings: Findings) -> None:
    """Measure a round trip: the median of five NOOPs."""
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        with suppress(CommandError):  # a refusal is an answer, too
            connection.noop()
        seconds.append(time.perf_counter() - begun)
    findings.learn(round_trip=median(seconds))


def listing(connection: Connection, findings: Findings) -> None:
    """Compare LIST with STAT."""
    count, size = findings.report.count or 0, findings.report.size
    if not count:
        findings.probe("LIST", None, "the mailbox is empty")
        return
    try:
        listed = findings.sizes = connection.execute(commands.list(entries=count + _MARGIN))
    except CommandError as refused:
        findings.quirks.add("NO_LIST")
        findings.probe("LIST", False, _refusal(refused, findings))
        return
    known = [octets for octets in listed.values() if octets is not None]
    said = [_counted(len(listed), count, findings)]
    if len(known) == len(listed) and size is not None:
        total = sum(known)
        said.append("and as many octets as STAT" if total == size else f"{total:,} octets where STAT has {size:,}")
    elif len(known) < len(listed):
        said.append(f"{len(listed) - len(known):,} of them without a size")
    findings.probe("LIST", True, ", ".join(said))


def _counted(lines: int, count: int, findings: Findings) -> str:
    if lines == count:
        return "as many messages as STAT"
    findings.quirks.add("COUNTS_DIFFER")
    return f"{lines:,} lines where STAT counts {count:,}"


def uidl(connection: Connection, findings: Findings) -> None:
    """Ask for the uids: are they there, unique, and as RFC 1939 §7 wants them?"""
    count, listed = findings.report.count or 0, "UIDL" in findings.report.capabilities()
    if not count:
        findings.probe("UIDL", None, "the mailbox is empty")
        return
    try:
        findings.uids_of = connection.session
        uids = findings.uids = connection.execute(commands.uidl(entries=count + _MARGIN))
    except CommandError as refused:
        findings.quirks.update({"UIDL_REFUSED"} if listed else ())
        findings.probe("UIDL", False, _refusal(refused, findings))
        return
    named = [uid for uid in uids.values() if uid is not None]
    several = len(named) - len(set(named))
    longest = max((len(uid.encode("utf-8", "surrogateescape")) for uid in named), default=0)
    odd = sum(1 for uid in named if len(uid) > 70 or not uid.isascii() or " " in uid or not uid.isprintable())
    said = [_counted(len(uids), count, findings)]
    if len(named) < len(uids):
        said.append(f"{len(uids) - len(named):,} are blank")
    if several:
        findings.quirks.add("DUPLICATE_UIDS")
        said.append(f"{several:,} are not unique")
    if odd:
        findings.quirks.add("ODD_UIDS")
        said.append(f"{odd:,} are longer than 70 characters or have others than visible ASCII")
    if not (several or odd or len(named) < len(uids)):
        said.append(f"all different, {longest} characters at most")
    if not listed:
        findings.quirks.add("UIDL_UNLISTED")
        said.append("though it is not listed")
    findings.probe("UIDL", True, ", ".join(said))


def stable(connection: Connection, findings: Findings) -> None:
    """Ask for the uids again, in another session: a uid is to last."""
    if not findings.uids or findings.uids_of is connection.session:
        return
    now = connection.execute(commands.uidl(entries=len(findings.uids) + _MARGIN))
    detail = findings.report.probes["UIDL"].detail
    if set(now.values()) & set(findings.uids.values()) - {None}:
        findings.probe("UIDL", True, f"{detail}, stable across sessions")
    else:
        findings.quirks.add("NEW_UIDS_EACH_SESSION")
        findings.probe("UIDL", True, f"{detail}, all different in a second session")


def pipelining(connection: Connection, findings: Findings) -> None:
    """Send commands ahead, where that is listed, and see whether every answer comes, and in its place."""
    if "PIPELINING" not in findings.report.capabilities():
        findings.probe("PIPELINING", None, "not listed, so never tried")
        return
    if not connection.session.protocol.pipelining:
        told = findings.report.capabilities_after_login
        reason = "switched off here" if told is not None else "not any more after login, so not tried"
        findings.probe("PIPELINING", None, f"listed, and {reason}")
        return
    usual, count = connection.timeout, findings.report.count
    seconds = max(_LEAST_SECONDS, 20 * (findings.report.round_trip or 0.0))
    connection.timeout = seconds if usual is None else min(usual, seconds)
    try:
        pairs: list[Command[Any]] = [commands.stat(), commands.noop()] * (_DEPTH // 2)
        answers = list(connection.pipeline(pairs))
    finally:
        connection.timeout = usual
    if any(isinstance(answer, Stat) and answer.count != count for answer in answers[::2]):
        raise ProtocolError("STAT returned a different count when pipelined")
    findings.probe("PIPELINING", True, f"{_DEPTH} commands sent ahead were answered in their order")


# --- reading --------------------------------------------------------------------------------------------------


def sample(findings: Findings) -> tuple[int, ...]:
    """Return the numbers of a few messages that are listed as small: the smallest, the largest, one between."""
    small = sorted((size, number) for number, size in findings.sizes.items() if size is not None and size <= _SMALL)
    if len(small) > _SAMPLES:
        small = [small[0], small[len(small) // 2], small[-1]]
    return tuple(sorted(number for _, number in small))


def top(connection: Connection, findings: Findings) -> None:
    """Ask TOP for the headers of the sample, or of the first message where no size is known."""
    refusal = ""
    for number in sample(findings) or (1,):
        try:
            findings.tops[number] = connection.top(number, 0)
        except CommandError as refused:
            refusal = _refusal(refused, findings)
    listed = "TOP" in findings.report.capabilities()
    blocks = list(findings.tops.values())
    if not blocks:
        findings.quirks.update({"TOP_REFUSED"} if listed else ())
        findings.probe("TOP", False, refusal)
        return
    said = []
    if not listed:
        findings.quirks.add("TOP_UNLISTED")
        said.append("though it is not listed")
    if refusal:
        said.append(f"{refusal} for some messages")
    if any(block[:3].upper() == b"+OK" for block in blocks):
        findings.quirks.add("TWO_STATUS_LINES_FOR_TOP")
    if any(_parted(block)[1] for block in blocks):
        findings.quirks.add("TOP_IGNORES_COUNT")
        said.append("with more of the message than was asked for")
    findings.probe("TOP", True, ", ".join(said))


def sizes(connection: Connection, findings: Findings) -> None:
    """Read the sample, and compare with what LIST and TOP gave."""
    for number in sample(findings):
        listed = findings.sizes[number] or 0
        raw = _whole(connection, number)
        if raw is None:
            findings.quirks.add("NO_RETR")
        else:
            findings.quirks.update(() if len(raw) == listed else {"SIZES_LIE"})
            headers = findings.tops.get(number)
            if headers is not None and _parted(headers)[0] != _parted(raw)[0]:
                findings.quirks.add("TOP_OTHER_HEADERS")
        check = SizeCheck(number, listed, None if raw is None else len(raw))
        findings.learn(sizes=(*findings.report.sizes, check))


def _whole(connection: Connection, number: int) -> bytes | None:
    """Return a message, None where it is refused; one that is far larger than it was listed ends the session."""
    chunks: list[bytes] = []
    octets = 0

    def take(chunk: bytes) -> None:
        nonlocal octets
        octets += len(chunk)
        if octets > _LARGEST:
            raise ProtocolError(f"message {number} is listed as small and goes on beyond {_LARGEST:,} octets")
        chunks.append(chunk)

    try:
        connection.retr(number, take)
    except CommandError:
        return None
    return b"".join(chunks)


def _parted(block: bytes) -> tuple[bytes, bytes]:
    """Return header and body without the line ends around them."""
    block = block.replace(b"\r\n", b"\n")
    if block.startswith(b"\n"):
        return b"", block.strip(b"\n")  # a mail without header
    header, _, body = block.partition(b"\n\n")
    return header.strip(b"\n"), body.strip(b"\n")


def _refusal(refused: CommandError | NotSupported, findings: Findings) -> str:
    return f"refused ({findings.clean(refused.response or 'without words')})"
