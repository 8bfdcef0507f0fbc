"""Quirks: what each one that can be seen in a server means for its users, in a sentence."""

from collections.abc import Iterable

__all__ = ["MEANINGS", "explained"]

MEANINGS = {
    # Seen by the protocol, the flows and the readers of listings.
    "BLANK_LINE_IN_LISTING": "a listing has blank lines; they are skipped.",
    "BLANK_UID": "some messages have no uid, so nobody can tell them apart across sessions.",
    "BODY_ENDS_IN_LF": "it ends lines of a message or listing in a bare LF, and status lines in CRLF: no end is seen.",
    "CLOSES_ON_CAPA": "it hangs up when asked for its capabilities; every session costs a second connection.",
    "COUNTS_DIFFER": "STAT, LIST and UIDL do not agree on how many messages there are; STAT is believed.",
    "DROPS_PIPELINED": "it lists PIPELINING, and loses commands that are sent ahead.",
    "HANGS_UP_ON_PIPELINE": "it lists PIPELINING, and hangs up on commands that are sent ahead.",
    "LF_LINES": "its lines end in a bare LF; mails are kept as they are sent, with bare LFs.",
    "LIST_EXTRA_SPACES": "LIST has more than one space between number and size; they are taken as one.",
    "LIST_EXTRA_FIELDS": "LIST has more than number and size in a line; the rest is skipped.",
    "LIST_JUNK_SIZE": "LIST gives sizes that are no numbers; those are unknown.",
    "LIST_PROVES_NOTHING": "LIST n is not answered by that number and a size; messages are read one by one.",
    "LIST_WITHOUT_SIZE": "LIST leaves out sizes; those are unknown.",
    "LOWERCASE_STATUS": "its status lines are not in capitals; they are understood.",
    "NEGATIVE_STAT_SIZE": "STAT gives a negative size, as of a 32-bit number that ran over; LIST is summed up instead.",
    "NO_CAPA": "it does not support CAPA; what it can do is tried.",
    "NO_CAPA_AFTER_LOGIN": "it does not support CAPA after the login; no PIPELINING then.",
    "NO_LIST": "it refuses LIST; the sizes of messages are unknown.",
    "NUMBER_TWICE_IN_LISTING": "a listing has a number twice with different values; such a value is unknown.",
    "OK_PREFIX_ON_UIDL": "lines of UIDL begin with +OK; that is taken off.",
    "OTHER_AUTH_FORM": "it refuses the usual form of AUTH; the other one costs a second connection.",
    "REPLIES_OUT_OF_STEP": "it lists PIPELINING, and its replies to commands that are sent ahead do not fit them.",
    "SIZES_LIE": "LIST gives other sizes than the messages have; they are hints.",
    "SPACES_BEFORE_UID": "UIDL has several spaces before the uid; they do not belong to it.",
    "STAT_SIZE_IN_WORDS": "STAT gives a size that is no number; LIST is summed up instead.",
    "STAT_WITHOUT_SIZE": "STAT gives no size; LIST is summed up instead.",
    "UNKNOWN_NUMBER_IN_LIST": "LIST has lines about no message; they are skipped.",
    "UNKNOWN_NUMBER_IN_UIDL": "UIDL has lines about no message; they are skipped.",
    "TOP_ENDS_IN_LF": "it ends lines of TOP in a bare LF, and status lines in CRLF, so no end is seen: use top=False.",
    "TOP_IGNORES_COUNT": "TOP sends more of a message than was asked for; headers are not read ahead.",
    "TOP_REFUSED": "it refuses TOP; headers cost the whole message, by RETR.",
    "UNORDERED_LIST": "LIST is out of order; its lines are taken by their numbers.",
    "UNORDERED_UIDL": "UIDL is out of order; its lines are taken by their numbers.",
    "UTF8_REFUSED": "it lists UTF8, and refuses it.",
    # Seen by the diagnosis alone.
    "DUPLICATE_UIDS": "several messages have the same uid; such a uid does not say which one is meant.",
    "HANGS_ON_CAPA": "it never answers when asked for its capabilities.",
    "NEW_UIDS_EACH_SESSION": "the uids were others in the second session; they name nothing beyond a session.",
    "NO_RETR": "it refused to give messages that it lists.",
    "INVALID_UIDS": "some uids are longer than 70 characters or have others than visible ASCII (RFC 1939 §7).",
    "TOP_OTHER_HEADERS": "TOP and RETR give different headers for the same message.",
    "TOP_UNLISTED": "TOP works without being listed.",
    "TWO_STATUS_LINES_FOR_TOP": "TOP has a second status line, which lands in the headers.",
    "UIDL_REFUSED": "it lists UIDL, and refuses it.",
    "UIDL_UNLISTED": "UIDL works without being listed.",
}


def explained(names: Iterable[str]) -> dict[str, str]:
    """Return the quirks of those names, each with what it means, in the order of their names."""
    return {name: MEANINGS.get(name, "no description.") for name in sorted(names)}
