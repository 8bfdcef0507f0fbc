"""The quirks of honest servers, to switch on one by one or together.

The page "What real servers do" in the documentation lists which server does what, and how pymailbox handles it.
"""

# The numbers refer to docs/servers.md (Q) and docs/threats.md.

from collections.abc import Iterable
from enum import Flag, auto

__all__ = ["Quirk"]


class Quirk(Flag):
    """A quirk of a server. Members combine with `|`; `Server` also accepts a set of them.

    >>> import poplib
    >>> from pymailbox.testing import Quirk, Server
    >>> with Server([b"Subject: 1\\r\\n\\r\\n"], quirks=Quirk.BARE_STATUS | Quirk.NO_CAPA) as server:
    ...     pop = poplib.POP3(server.host, server.port, timeout=5)
    ...     pop.user("me"), pop.pass_("secret"), pop.quit()
    (b'+OK', b'+OK', b'+OK')
    """

    # Status lines and greeting
    BARE_STATUS = auto()  # Q1
    """Status lines are just `+OK` or `-ERR`, unless data follows."""
    GLUED_STATUS = auto()  # Q2
    """No space separates the status from the text: `+OKready`, `+OK3 120`."""
    LOWERCASE_STATUS = auto()  # Q3
    """Status lines begin with `+ok` or `-err`."""
    PLUS_ERR_ON_PASS = auto()  # Q4
    """A wrong password gets `+ERR Server error`."""
    EMPTY_LINE_FOR_DELE = auto()  # Q5
    """DELE marks the message, but the reply is an empty line."""
    TWO_STATUS_LINES_FOR_TOP = auto()  # Q6
    """The reply to TOP has two `+OK` lines."""
    FAKE_TIMESTAMP = auto()  # Q7
    """The greeting has text in angle brackets that is not an APOP timestamp."""
    REFUSES_APOP = auto()  # Q8
    """The greeting has a timestamp, but APOP is refused even with the right digest."""
    GREETS_AS_IMAP = auto()  # Q9
    """The server is an IMAP server."""
    GREETS_WITH_TLS = auto()  # Q9
    """The server expects TLS on a plaintext port: the first bytes it sends are a TLS alert."""
    REFUSES_SERVICE = auto()  # Q10
    """The greeting is `-ERR [SYS/TEMP]`, and the connection closes."""
    NEEDS_WHOLE_COMMANDS = auto()  # Q11
    """A command that arrives in pieces is refused, and the connection closes."""
    REFUSES_TRAILING_SPACE = auto()  # Q11
    """A command with a trailing space is refused."""
    NEEDS_CRLF = auto()  # Q11
    """A bare LF does not end a command line; only CRLF does."""
    REFUSES_LONG_COMMANDS = auto()  # Q22
    """A command line over 255 bytes is refused, and the connection closes (RFC 2449 §4)."""

    # CAPA and STLS
    NO_CAPA = auto()  # Q12
    """CAPA is an unknown command."""
    CLOSES_ON_CAPA = auto()  # Q12
    """CAPA closes the connection."""
    HANGS_ON_CAPA = auto()  # Q12
    """CAPA and everything after it go unanswered."""
    SHORT_CAPA_BEFORE_LOGIN = auto()  # Q13
    """UIDL, TOP and SASL are listed only after login."""
    NO_CAPA_AFTER_LOGIN = auto()  # Q14
    """CAPA is refused after login."""
    HANGS_UP_ON_PIPELINE = auto()  # Q14
    """When commands are pipelined, the server answers the first and closes the connection."""
    UIDL_UNLISTED = auto()  # Q15
    """UIDL works, but CAPA does not list it."""
    UIDL_REFUSED = auto()  # Q15
    """CAPA lists UIDL, but UIDL is refused."""
    TOP_UNLISTED = auto()  # Q16
    """TOP works, but CAPA does not list it."""
    TOP_REFUSED = auto()  # Q16
    """CAPA lists TOP, but TOP is refused."""
    MALFORMED_CAPA = auto()  # Q17
    """CAPA lists a blank line, non-ASCII bytes, unknown names, `RESP-CODE` and `UTF8=USER`."""
    ENDLESS_CAPA = auto()  # Q18
    """The list of capabilities never ends."""
    STLS_REFUSED = auto()  # Q19
    """CAPA lists STLS, but STLS is refused."""
    STLS_HANDSHAKE_FAILS = auto()  # Q19
    """STLS gets `+OK`, then plaintext instead of a handshake."""
    PLAINTEXT_AFTER_STLS = auto()  # Q20
    """A plaintext line follows the `+OK` to STLS, as an attacker on the path would inject it."""
    ANSWERS_PLAINTEXT_IN_TLS = auto()  # threat 18
    """Commands sent in plaintext after STLS are answered inside TLS."""

    # Login
    AUTH_NEEDS_TWO_LINES = auto()  # Q22
    """AUTH with an initial response gets `-ERR Protocol error`, and the connection closes."""
    AUTH_NEEDS_INITIAL_RESPONSE = auto()  # Q23
    """AUTH without an initial response is refused."""
    OK_AS_CONTINUATION = auto()  # Q24
    """Challenges begin with `+OK`."""
    TEXT_AS_CHALLENGE = auto()  # Q24
    """An empty challenge is `+ go ahead`."""
    ENDLESS_CHALLENGES = auto()  # threat 29
    """Every response gets another challenge."""
    STAT_REFUSED = auto()  # Q27
    """The login succeeds, but STAT gets `-ERR login allowed only every 15 minutes`."""
    LOCK_WITHOUT_CODE = auto()  # Q28
    """The refusal because of a locked mailbox has no response code, only text."""
    EXCEEDS_LOGIN_LIMIT = auto()  # Q29
    """The third and every later RETR gets `-ERR Exceeded the login limit`."""
    CLOSES_AFTER_BAD_LOGIN = auto()  # Q75
    """The first wrong password closes the connection."""
    LOSES_WHAT_FOLLOWS_PASS = auto()  # Q72
    """Data pipelined after PASS, AUTH or APOP is lost."""

    # STAT and LIST
    NEGATIVE_STAT_SIZE = auto()  # Q31
    """The size in STAT is negative, like an overflowed 32-bit number."""
    STAT_WITHOUT_SIZE = auto()  # Q32
    """STAT returns only the count."""
    STAT_SIZE_IN_WORDS = auto()  # Q32
    """The size in STAT is a word."""
    STAT_COUNTS_LESS = auto()  # Q36
    """STAT counts one message fewer than LIST and UIDL show."""
    EMPTY_LIST_REFUSED = auto()  # Q33
    """LIST and UIDL are refused if there is nothing to list."""
    LIST_WITHOUT_SIZE = auto()  # Q34
    """LIST has no size for messages with odd numbers."""
    LIST_JUNK_SIZE = auto()  # Q34
    """LIST shows a size like `%!d(float64=120)` for messages with odd numbers."""
    LIST_EXTRA_FIELDS = auto()  # Q34
    """LIST shows more fields after the size."""
    LIST_EXTRA_SPACES = auto()  # Q34
    """LIST separates number and size with several spaces and a tab."""
    ROUNDED_SIZES = auto()  # Q35
    """Sizes are rounded up to a multiple of 1024 bytes."""
    SINGLE_LISTING_MULTILINE = auto()  # Q38
    """`LIST n` and `UIDL n` return a multi-line listing with one line."""
    SINGLE_LISTING_WITHOUT_NUMBER = auto()  # Q38
    """`LIST n` and `UIDL n` omit the number."""

    # UIDL
    SPACES_BEFORE_UID = auto()  # Q40
    """UIDL separates number and uid with several spaces."""
    OK_PREFIX_ON_UIDL = auto()  # Q41
    """Every line of UIDL begins with `+OK`."""
    BLANK_UID = auto()  # Q42
    """Messages with odd numbers have no uid."""
    DUPLICATE_UIDS = auto()  # Q43
    """All messages have the uid of the first one."""
    INVALID_UIDS = auto()  # Q44
    """Uids are in turn 200 characters long, with a space in them, and not ASCII."""
    UIDS_AS_PATHS = auto()  # Q45
    """Uids look like `../../1/etc`."""
    MERGED_UIDL_LINES = auto()  # Q46
    """The line end between the first two lines of UIDL is missing."""
    BLANK_LINE_IN_LISTING = auto()  # Q46
    """LIST and UIDL begin with a blank line."""
    UNORDERED_UIDL = auto()  # Q47
    """UIDL lists the messages in reverse order."""
    UNKNOWN_NUMBER_IN_UIDL = auto()  # Q36
    """UIDL also lists message 0 and one that does not exist."""
    NEW_UIDS_EACH_SESSION = auto()  # Q48
    """Uids are different in every session."""

    # RETR and TOP
    LF_LINES = auto()  # Q50
    """Every line ends in a bare LF, inside messages too."""
    LF_END = auto()  # Q50
    """Lines end in CRLF, but the `.` that ends a multi-line reply is followed by a bare LF."""
    NO_NEWLINE_BEFORE_END = auto()  # Q51
    """The final dot follows the text of a message directly, without a line end."""
    UNSTUFFED_DOTS = auto()  # Q52, Q53
    """Lines that begin with a dot are sent without dot-stuffing."""
    TOP_TRUNCATED = auto()  # Q55
    """TOP returns at most 65,536 bytes."""
    TOP_TEN_LINES = auto()  # Q55
    """TOP always returns ten lines of the body."""
    TOP_ONE_LINE = auto()  # Q55
    """TOP returns only the first line of the header."""
    TOP_IGNORES_COUNT = auto()  # Q55
    """TOP returns the whole message."""
    TOP_OTHER_HEADERS = auto()  # Q56
    """TOP omits Message-ID and adds another field."""
    TOP_COUNTS_AS_READ = auto()  # Q57
    """With `HIDES_READ` or `DELETES_READ`, TOP counts as reading."""
    DELETES_READ = auto()  # Q58
    """QUIT deletes the messages that were read."""
    ONE_UNREADABLE = auto()  # Q59
    """RETR 1 gets `-ERR Can't get the letter`."""
    WRONG_MESSAGE = auto()  # Q60
    """RETR returns the next message, and for the last one the first."""
    EXTRA_BLANK_LINE = auto()  # Q60
    """RETR adds a blank line at the end."""
    WRAPS_UTF8 = auto()  # Q60
    """A message with 8-bit header fields arrives wrapped in another one, unless UTF8 was sent."""
    HIDES_READ = auto()  # Q63
    """Messages that were read are hidden after QUIT, except from `recent:user`."""
    OLDEST_250 = auto()  # Q63
    """A session shows only the oldest 250 messages."""
    CLOSES_ON_DELE_AFTER_LARGE_RETR = auto()  # Q64
    """DELE closes the connection if a message of 1 MiB or more was read."""

    # QUIT and after
    QUIT_WITHOUT_REPLY = auto()  # Q65
    """QUIT commits the deletions and closes the connection without a reply."""
    QUIT_WITHOUT_CLOSE_NOTIFY = auto()  # Q65
    """QUIT is answered, but TLS ends without close_notify."""
    LOCK_LINGERS = auto()  # Q66
    """After a lost connection, the mailbox stays locked for a second."""
    FORGETS_DELETIONS = auto()  # Q67
    """QUIT gets `+OK` but deletes nothing."""
    FLAPPING_COUNT = auto()  # Q69
    """Every second session lacks the last message, as with replicas out of sync."""
    COMMITS_ON_DROP = auto()  # threat 88
    """A lost connection commits the deletions."""

    # Pipelining
    DROPS_PIPELINED = auto()  # threat 55
    """Commands pipelined after another one are lost."""
    STOPS_READING = auto()  # threat 56
    """The server does not read commands while its replies wait to be read."""

    @classmethod
    def together(cls, quirks: "Quirk | Iterable[Quirk]") -> frozenset["Quirk"]:
        """Return the single members of one quirk, a combination, or several of them."""
        given = [quirks] if isinstance(quirks, Quirk) else quirks
        return frozenset(single for quirk in given for single in cls if single in quirk)
