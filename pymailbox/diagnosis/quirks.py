"""What each quirk that the client can detect means for users of the server, in one sentence."""

from collections.abc import Iterable

__all__ = ["MEANINGS", "explained"]

MEANINGS = {
    # Detected by the protocol, the flows and the parsers of listings.
    "BLANK_LINE_IN_LISTING": "a listing has blank lines; they are skipped.",
    "BLANK_UID": "some messages have no uid, so they cannot be recognized in another session.",
    "BODY_ENDS_IN_LF": "status lines end in CRLF, but lines of messages or listings in a bare LF, which hides the end.",
    "CLOSES_ON_CAPA": "it closes the connection on CAPA, so every session costs a second connection.",
    "COUNTS_DIFFER": "STAT, LIST and UIDL disagree on the number of messages; STAT counts.",
    "DROPS_PIPELINED": "it lists PIPELINING but loses pipelined commands.",
    "HANGS_UP_ON_PIPELINE": "it lists PIPELINING but closes the connection on pipelined commands.",
    "LF_LINES": "its lines end in a bare LF; messages are kept as sent, with bare LFs.",
    "LIST_EXTRA_SPACES": "LIST has several spaces between number and size; they count as one.",
    "LIST_EXTRA_FIELDS": "LIST lines have more than number and size; the rest is skipped.",
    "LIST_JUNK_SIZE": "LIST shows sizes that are not numbers; those sizes are unknown.",
    "LIST_PROVES_NOTHING": "the reply to LIST n is not that number and a size, so messages are read one by one.",
    "LIST_WITHOUT_SIZE": "LIST omits sizes; those sizes are unknown.",
    "LOWERCASE_STATUS": "its status lines are in lower case; they work.",
    "NEGATIVE_STAT_SIZE": "STAT returns a negative size (a 32-bit overflow); the total comes from LIST instead.",
    "NO_CAPA": "it does not support CAPA, so features are tried out.",
    "NO_CAPA_AFTER_LOGIN": "it does not support CAPA after login, so PIPELINING is not used.",
    "NO_LIST": "it refuses LIST, so the sizes of messages are unknown.",
    "NUMBER_TWICE_IN_LISTING": "a listing has the same number twice with different values; that value is unknown.",
    "OK_PREFIX_ON_UIDL": "UIDL lines begin with +OK, which is removed.",
    "OTHER_AUTH_FORM": "it refuses the usual form of AUTH; the other form costs a second connection.",
    "REPLIES_OUT_OF_STEP": "it lists PIPELINING, but its replies do not match pipelined commands.",
    "SIZES_LIE": "sizes in LIST differ from those of the messages, so they are only hints.",
    "SPACES_BEFORE_UID": "UIDL has several spaces before the uid; they are not part of it.",
    "STAT_SIZE_IN_WORDS": "STAT returns a size that is not a number; the total comes from LIST instead.",
    "STAT_WITHOUT_SIZE": "STAT returns no size; the total comes from LIST instead.",
    "UNKNOWN_NUMBER_IN_LIST": "LIST has lines for messages that do not exist; they are skipped.",
    "UNKNOWN_NUMBER_IN_UIDL": "UIDL has lines for messages that do not exist; they are skipped.",
    "TOP_ENDS_IN_LF": "status lines end in CRLF, but lines of TOP in a bare LF, which hides the end; use top=False.",
    "TOP_IGNORES_COUNT": "TOP sends more than requested, so headers are not prefetched.",
    "TOP_REFUSED": "it refuses TOP, so reading a header downloads the whole message.",
    "UNORDERED_LIST": "LIST is out of order; its lines are matched by number.",
    "UNORDERED_UIDL": "UIDL is out of order; its lines are matched by number.",
    "UTF8_REFUSED": "it lists UTF8 but refuses it.",
    # Detected only by the diagnosis.
    "DUPLICATE_UIDS": "several messages have the same uid, which therefore does not identify one of them.",
    "HANGS_ON_CAPA": "it never answers CAPA.",
    "NEW_UIDS_EACH_SESSION": "the uids changed in the second session, so they identify nothing beyond a session.",
    "NO_RETR": "it refused to send messages that it lists.",
    "INVALID_UIDS": "some uids are longer than 70 characters or not visible ASCII (RFC 1939 §7).",
    "TOP_OTHER_HEADERS": "TOP and RETR return different headers for the same message.",
    "TOP_UNLISTED": "TOP works although it is not listed.",
    "TWO_STATUS_LINES_FOR_TOP": "the reply to TOP has a second status line, which ends up in the header.",
    "UIDL_REFUSED": "it lists UIDL but refuses it.",
    "UIDL_UNLISTED": "UIDL works although it is not listed.",
}


def explained(names: Iterable[str]) -> dict[str, str]:
    """Return the meaning of each of these quirks, sorted by name."""
    return {name: MEANINGS.get(name, "no description.") for name in sorted(names)}
