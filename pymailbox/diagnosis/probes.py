"""Probes: each asks one question in a session that is logged in.

A refusal is a finding. Anything worse (silence, a lost connection, an invalid reply) is raised: the run notes it, and
continues with the next probe in a fresh session.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from statistics import median
from typing import Any, TypeVar

from pymailbox.diagnosis.findings import Findings
from pymailbox.diagnosis.report import SizeCheck
from pymailbox.errors import CommandError, NotSupported, ProtocolError
from pymailbox.pop3 import commands, flows
from pymailbox.pop3.command import Command
from pymailbox.pop3.commands import Stat
from pymailbox.pop3.connection import Connection

__all__ = ["capa", "compare", "headed", "listing", "pipelining", "refusal", "round_trip", "sample", "stable", "uidl"]
__all__ += ["whole"]

T = TypeVar("T")

_MARGIN = 1000  # lines that a listing may have beyond STAT's count, because mail may arrive in between
_SMALL = 32 * 1024  # bytes; larger messages are not read
_LARGEST = 1024 * 1024  # bytes; the limit for a message that was listed as small
_SAMPLES = 3
_DEPTH = 24  # commands in the pipeline
_LEAST_SECONDS = 5.0  # seconds that a pipeline may be silent


def capa(connection: Connection, findings: Findings) -> None:
    """Ask for the capabilities again, because there are often more after login."""
    if not connection.session.may_ask_capa:
        if "CAPA" not in findings.report.probes:
            findings.probe("CAPA", None, "switched off here (capa=False)")
        return
    try:
        capabilities = findings.cleaned(connection.run(flows.discover(connection.session)))
    except NotSupported as refused:
        if "NO_CAPA" in findings.quirks:
            findings.probe("CAPA", False, refusal(refused, findings))
        else:
            findings.quirks.add("NO_CAPA_AFTER_LOGIN")
            findings.probe("CAPA", False, refusal(refused, findings) + " after login")
    else:
        findings.set(capabilities_after_login=capabilities)
        findings.probe("CAPA", True, "after login too")


def round_trip(connection: Connection, findings: Findings) -> None:
    """Measure a round trip: the median of five NOOPs."""
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        with suppress(CommandError):  # a refusal is also a reply
            connection.noop()
        seconds.append(time.perf_counter() - begun)
    findings.set(round_trip=median(seconds))


def listing(connection: Connection, findings: Findings) -> None:
    """Compare LIST with STAT."""
    listed = _listed(connection, findings, "LIST", commands.list(entries=_most(findings)), "NO_LIST")
    if listed is None:
        return
    findings.sizes = listed
    known = [size for size in listed.values() if size is not None]
    size, total, details = findings.report.size, sum(known), [_counted(len(listed), findings)]
    if len(known) < len(listed):
        details.append(f"{len(listed) - len(known):,} of them without a size")
    elif size is not None:
        details.append("same total size" if total == size else f"{total:,} bytes, but STAT has {size:,}")
    findings.probe("LIST", True, ", ".join(details))


def _listed(
    connection: Connection, findings: Findings, name: str, command: Command[dict[int, T]], quirk: str | None
) -> dict[int, T] | None:
    """Send LIST or UIDL; return None if there is nothing to list, or if it is refused, which is that quirk."""
    if not findings.report.count:
        findings.probe(name, None, "the mailbox is empty")
        return None
    try:
        return connection.execute(command)
    except CommandError as refused:
        findings.quirks.update({quirk} if quirk else ())
        findings.probe(name, False, refusal(refused, findings))
        return None


def _most(findings: Findings) -> int:
    return (findings.report.count or 0) + _MARGIN


def _counted(lines: int, findings: Findings) -> str:
    if lines == findings.report.count:
        return "same count as STAT"
    findings.quirks.add("COUNTS_DIFFER")
    return f"{lines:,} messages, but STAT counts {findings.report.count:,}"


def uidl(connection: Connection, findings: Findings) -> None:
    """Ask for the uids, and check that they exist, are unique, and are valid (RFC 1939 §7)."""
    listed = findings.listed("UIDL")
    findings.uids_of = connection.session
    command, quirk = commands.uidl(entries=_most(findings)), "UIDL_REFUSED" if listed else None
    uids = findings.uids = _listed(connection, findings, "UIDL", command, quirk)
    if uids is None:
        return
    named = [uid for uid in uids.values() if uid is not None]
    longest = max((len(uid.encode("utf-8", "surrogateescape")) for uid in named), default=0)
    details = []
    if blank := len(uids) - len(named):
        details.append(f"{blank:,} are blank")
    if repeated := len(named) - len(set(named)):
        findings.quirks.add("DUPLICATE_UIDS")
        details.append(f"{repeated:,} are not unique")
    if invalid := sum(len(uid) > 70 or not uid.isascii() or " " in uid or not uid.isprintable() for uid in named):
        findings.quirks.add("INVALID_UIDS")
        details.append(f"{invalid:,} are longer than 70 characters or not visible ASCII")
    if not details:
        details.append(f"all different, at most {longest} characters long")
    if listed is False:
        findings.quirks.add("UIDL_UNLISTED")
        details.append("although it is not listed")
    findings.probe("UIDL", True, ", ".join((_counted(len(uids), findings), *details)))


def stable(connection: Connection, findings: Findings) -> None:
    """Ask for the uids again in another session, because uids must not change."""
    if not findings.uids or findings.uids_of is connection.session:
        return
    now = connection.execute(commands.uidl(entries=len(findings.uids) + _MARGIN))
    detail = findings.report.probes["UIDL"].detail
    if set(now.values()) & set(findings.uids.values()) - {None}:
        findings.probe("UIDL", True, f"{detail}, stable across sessions")
    else:
        findings.quirks.add("NEW_UIDS_EACH_SESSION")
        findings.probe("UIDL", True, f"{detail}, but all changed in a second session")


def pipelining(connection: Connection, findings: Findings) -> None:
    """If PIPELINING is listed, send a burst of commands, and check that every reply arrives in its place."""
    listed = findings.listed("PIPELINING")
    if not listed:
        reason = "without CAPA nothing is listed" if listed is None else "not listed"
        findings.probe("PIPELINING", None, f"{reason}, so not tried")
        return
    if not connection.session.protocol.pipelining:
        capabilities = findings.report.capabilities_after_login
        reason = "switched off here (pipelining=False)" if capabilities is not None else "not after login, so not tried"
        findings.probe("PIPELINING", None, f"listed, but {reason}")
        return
    usual, count = connection.timeout, findings.report.count
    seconds = max(_LEAST_SECONDS, 20 * (findings.report.round_trip or 0.0))
    connection.timeout = seconds if usual is None else min(usual, seconds)
    try:
        # If NOOP alone ends the session, it proves nothing about pipelining.
        other: Command[Any] = commands.stat() if findings.report.round_trip is None else commands.noop()
        answers = list(connection.pipeline([commands.stat(), other] * (_DEPTH // 2)))
    finally:
        connection.timeout = usual
    if any(isinstance(answer, Stat) and answer.count != count for answer in answers):
        raise ProtocolError("STAT returned a different count when pipelined")
    findings.probe("PIPELINING", True, f"{_DEPTH} pipelined commands were answered in order")


# --- reading --------------------------------------------------------------------------------------------------


def sample(findings: Findings) -> tuple[int, ...]:
    """Return the numbers of a few messages listed as small: the smallest, the largest, and one in between."""
    small = sorted((size, number) for number, size in findings.sizes.items() if size is not None and size <= _SMALL)
    if len(small) > _SAMPLES:
        small = [small[0], small[len(small) // 2], small[-1]]
    return tuple(sorted(number for _, number in small))


def headed(findings: Findings) -> tuple[int, ...]:
    """Return the numbers of the messages to try TOP with: the sample or, if there is none, the first messages."""
    return sample(findings) or tuple(range(1, min(findings.report.count or 0, _SAMPLES) + 1))


def whole(connection: Connection, number: int) -> bytes:
    """Read a message; end the session if it is far larger than listed."""
    chunks: list[bytes] = []
    size = 0

    def take(chunk: bytes) -> None:
        nonlocal size
        size += len(chunk)
        if size > _LARGEST:
            raise ProtocolError(f"message {number} is listed as small but has more than {_LARGEST:,} bytes")
        chunks.append(chunk)

    connection.retr(number, take)
    return b"".join(chunks)


def compare(findings: Findings) -> None:
    """Compare the results of LIST, TOP and RETR, and note what they show about the server."""
    tops = {number: answer.data for number, answer in findings.tops.items() if answer.data is not None}
    raws = {number: answer.data for number, answer in findings.wholes.items() if answer.data is not None}
    if findings.tops:
        _judge_top(findings, tops, raws)
    checks = tuple(
        SizeCheck(number, findings.sizes[number] or 0, len(raws[number]) if number in raws else None)
        for number in findings.wholes
    )
    findings.set(sizes=checks)
    findings.quirk("NO_RETR", [number for number, answer in findings.wholes.items() if answer.refused])
    findings.quirk("SIZES_LIE", [check.number for check in checks if check.received not in (None, check.listed)])


def _judge_top(findings: Findings, tops: dict[int, bytes], raws: dict[int, bytes]) -> None:
    listed, missing = findings.listed("TOP"), findings.tops.keys() - tops.keys()
    details = []
    if tops and listed is False:
        findings.quirks.add("TOP_UNLISTED")
        details.append("although it is not listed")
    for problem in dict.fromkeys(findings.tops[number].problem for number in sorted(missing)):
        details.append(f"{problem} for {_numbered([n for n in missing if findings.tops[n].problem == problem])}")
    more = [number for number, block in tops.items() if _parted(block)[1]]
    if more:
        details.append(f"returned more than the header of {_numbered(more)}")
    other = [number for number in tops.keys() & raws.keys() if _parted(tops[number])[0] != _parted(raws[number])[0]]
    if other:
        details.append(f"returned a different header than RETR for {_numbered(other)}")
    findings.quirk("TOP_IGNORES_COUNT", more)
    findings.quirk("TOP_OTHER_HEADERS", other)
    doubled = [number for number, block in tops.items() if _ok(block) and not _ok(raws.get(number, b""))]
    if any(number in raws for number in doubled):  # RETR shows that the message itself does not begin with +OK
        findings.quirks.add("TWO_STATUS_LINES_FOR_TOP")
    findings.quirk("TWO_STATUS_LINES_FOR_TOP", doubled)
    # If TOP fails for a single message, the message may be the cause, unless RETR works.
    fails = not tops and (len(missing) > 1 or bool(missing & raws.keys()))
    if fails and listed and all(answer.refused for answer in findings.tops.values()):
        findings.quirks.add("TOP_REFUSED")
    findings.probe("TOP", True if tops else False if fails else None, ", ".join(details))


def _ok(block: bytes) -> bool:
    return block[:3].upper() == b"+OK"


def _numbered(numbers: Sequence[int]) -> str:
    return f"{'message' if len(numbers) == 1 else 'messages'} {', '.join(map(str, sorted(numbers)))}"


def _parted(block: bytes) -> tuple[bytes, bytes]:
    """Return header and body without the line ends around them."""
    block = block.replace(b"\r\n", b"\n")
    if block.startswith(b"\n"):
        return b"", block.strip(b"\n")  # a message without header
    header, _, body = block.partition(b"\n\n")
    return header.strip(b"\n"), body.strip(b"\n")


def refusal(refused: CommandError | NotSupported, findings: Findings) -> str:
    """Return a refusal as a short text."""
    return f"refused ({findings.clean(refused.response) if refused.response else 'without a reason'})"
