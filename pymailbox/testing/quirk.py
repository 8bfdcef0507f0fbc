"""What quirky but honest servers do, to be switched on one by one or together.

The page "What real servers do" of the documentation says who does what, and what pymailbox makes of it.
"""

# The numbers are those of docs/servers.md (Q) and docs/threats.md.

from collections.abc import Iterable
from enum import Flag, auto

__all__ = ["Quirk"]


class Quirk(Flag):
    """A quirk of a server. Members combine with `|`; `Server` also takes a set of them.

    >>> import poplib
    >>> from pymailbox.testing import Quirk, Server
    >>> with Server([b"Subject: 1\\r\\n\\r\\n"], quirks=Quirk.BARE_STATUS | Quirk.NO_CAPA) as server:
    ...     pop = poplib.POP3(server.host, server.port, timeout=5)
    ...     pop.user("me"), pop.pass_("secret"), pop.quit()
    (b'+OK', b'+OK', b'+OK')
    """

    # Status lines and greeting
    BARE_STATUS = auto()  # Q1
    """Status lines are `+OK` and `-ERR` alone, where nothing but words would follow."""
    GLUED_STATUS = auto()  # Q2
    """The text is glued to the status: `+OKready`, `+OK3 120`."""
    LOWERCASE_STATUS = auto()  # Q3
    """`+ok` and `-err`."""
    PLUS_ERR_ON_PASS = auto()  # Q4
    """A wrong password gets `+ERR Server error`."""
    EMPTY_LINE_FOR_DELE = auto()  # Q5
    """DELE gets an empty line. The message is marked."""
    TWO_STATUS_LINES_FOR_TOP = auto()  # Q6
    """The reply to TOP has two `+OK` lines."""
    FAKE_TIMESTAMP = auto()  # Q7
    """The greeting has something in angle brackets that is no timestamp for APOP."""
    REFUSES_APOP = auto()  # Q8
    """A timestamp is offered, and APOP refused whatever the digest."""
    GREETS_AS_IMAP = auto()  # Q9
    """The service is IMAP."""
    GREETS_WITH_TLS = auto()  # Q9
    """The service speaks TLS where plain text is due: its first octets are an alert."""
    REFUSES_SERVICE = auto()  # Q10
    """The greeting is `-ERR [SYS/TEMP]`, and then the end."""
    NEEDS_WHOLE_COMMANDS = auto()  # Q11
    """A command that comes in pieces is refused, and the connection closed."""
    REFUSES_TRAILING_SPACE = auto()  # Q11
    """A command with a blank at its end is refused."""
    NEEDS_CRLF = auto()  # Q11
    """A line that ends in a bare LF is not a line yet."""
    REFUSES_LONG_COMMANDS = auto()  # Q22
    """A command line over 255 octets is refused, and the connection closed (RFC 2449 §4)."""

    # CAPA and STLS
    NO_CAPA = auto()  # Q12
    """CAPA is unknown."""
    CLOSES_ON_CAPA = auto()  # Q12
    """CAPA closes the connection."""
    HANGS_ON_CAPA = auto()  # Q12
    """CAPA is never answered, nor anything after it."""
    SHORT_CAPA_BEFORE_LOGIN = auto()  # Q13
    """UIDL, TOP and SASL are listed only after login."""
    NO_CAPA_AFTER_LOGIN = auto()  # Q14
    """CAPA is refused after login."""
    HANGS_UP_ON_PIPELINE = auto()  # Q14
    """A second command after an unanswered one closes the connection after the first reply."""
    UIDL_UNLISTED = auto()  # Q15
    """UIDL works without being listed."""
    UIDL_REFUSED = auto()  # Q15
    """UIDL is listed, and refused."""
    TOP_UNLISTED = auto()  # Q16
    """TOP works without being listed."""
    TOP_REFUSED = auto()  # Q16
    """TOP is listed, and refused."""
    MALFORMED_CAPA = auto()  # Q17
    """CAPA lists a blank line, octets that are no ASCII, unknown names, `RESP-CODE` and `UTF8=USER`."""
    ENDLESS_CAPA = auto()  # Q18
    """The listing of capabilities never ends."""
    STLS_REFUSED = auto()  # Q19
    """STLS is listed, and refused."""
    STLS_HANDSHAKE_FAILS = auto()  # Q19
    """STLS gets `+OK`, and then plain text in place of a handshake."""
    PLAINTEXT_BEHIND_STLS = auto()  # Q20
    """A plaintext line follows the `+OK` to STLS, as somebody on the path would inject it."""
    ANSWERS_PLAINTEXT_IN_TLS = auto()  # threat 18
    """What came in plaintext after STLS is answered inside TLS."""

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
    """The login is fine, and STAT says `-ERR login allowed only every 15 minutes`."""
    LOCK_WITHOUT_CODE = auto()  # Q28
    """A locked mailbox is told in words, without a response code."""
    EXCEEDS_LOGIN_LIMIT = auto()  # Q29
    """From the third RETR on: `-ERR Exceeded the login limit`."""
    CLOSES_AFTER_BAD_LOGIN = auto()  # Q75
    """One wrong password, and the connection closes."""
    LOSES_WHAT_FOLLOWS_PASS = auto()  # Q72
    """Octets pipelined after PASS, AUTH or APOP are lost."""

    # STAT and LIST
    NEGATIVE_STAT_SIZE = auto()  # Q31
    """STAT's size is negative, as a 32-bit number that ran over."""
    STAT_WITHOUT_SIZE = auto()  # Q32
    """STAT gives only the count."""
    STAT_SIZE_IN_WORDS = auto()  # Q32
    """STAT's size is a word."""
    STAT_COUNTS_LESS = auto()  # Q36
    """STAT counts one message less than LIST and UIDL show."""
    EMPTY_LIST_REFUSED = auto()  # Q33
    """LIST and UIDL are refused while there is nothing to list."""
    LIST_WITHOUT_SIZE = auto()  # Q34
    """The size is missing for messages with odd numbers."""
    LIST_JUNK_SIZE = auto()  # Q34
    """The size is `%!d(float64=120)` for messages with odd numbers."""
    LIST_EXTRA_FIELDS = auto()  # Q34
    """More fields follow the size."""
    LIST_EXTRA_SPACES = auto()  # Q34
    """Several blanks and a tab stand between number and size."""
    ROUNDED_SIZES = auto()  # Q35
    """Sizes are rounded up to 1024 octets."""
    SINGLE_LISTING_MULTILINE = auto()  # Q38
    """`LIST n` and `UIDL n` get a listing of one line."""
    SINGLE_LISTING_WITHOUT_NUMBER = auto()  # Q38
    """`LIST n` and `UIDL n` leave out the number."""

    # UIDL
    SPACES_BEFORE_UID = auto()  # Q40
    """Several spaces stand between number and uid."""
    OK_PREFIX_ON_UIDL = auto()  # Q41
    """Every line of UIDL begins with `+OK`."""
    BLANK_UID = auto()  # Q42
    """Messages with odd numbers have no uid."""
    DUPLICATE_UIDS = auto()  # Q43
    """All messages have the uid of the first."""
    INVALID_UIDS = auto()  # Q44
    """Uids are by turns 200 characters long, with a space inside, and not ASCII."""
    UIDS_AS_PATHS = auto()  # Q45
    """Uids look like `../../1/etc`."""
    MERGED_UIDL_LINES = auto()  # Q46
    """The line end between the first two lines of UIDL is lost."""
    BLANK_LINE_IN_LISTING = auto()  # Q46
    """LIST and UIDL begin with a blank line."""
    UNORDERED_UIDL = auto()  # Q47
    """UIDL lists backwards."""
    UNKNOWN_NUMBER_IN_UIDL = auto()  # Q36
    """UIDL also lists message 0 and one that nobody else knows."""
    NEW_UIDS_EACH_SESSION = auto()  # Q48
    """Uids are new in every session."""

    # RETR and TOP
    LF_LINES = auto()  # Q50
    """Every line ends in a bare LF, in mails too."""
    LF_END = auto()  # Q50
    """Replies of many lines end in `.` and a bare LF among lines that end in CRLF."""
    NO_NEWLINE_BEFORE_END = auto()  # Q51
    """The final dot follows the text of a mail directly, without a line end."""
    UNSTUFFED_DOTS = auto()  # Q52, Q53
    """Lines that begin with a dot are sent as they are."""
    TOP_TRUNCATED = auto()  # Q55
    """TOP gives 65,536 octets at most."""
    TOP_TEN_LINES = auto()  # Q55
    """TOP gives ten lines of the body, whatever was asked."""
    TOP_ONE_LINE = auto()  # Q55
    """TOP gives one line, of the headers too."""
    TOP_IGNORES_COUNT = auto()  # Q55
    """TOP gives the whole mail."""
    TOP_OTHER_HEADERS = auto()  # Q56
    """TOP leaves out Message-ID, and adds a field."""
    TOP_COUNTS_AS_READ = auto()  # Q57
    """With `HIDES_READ` or `DELETES_READ`: TOP counts as reading."""
    DELETES_READ = auto()  # Q58
    """QUIT deletes what was read."""
    ONE_UNREADABLE = auto()  # Q59
    """RETR 1 gets `-ERR Can't get the letter`."""
    WRONG_MESSAGE = auto()  # Q60
    """RETR gives the next message, and of the last one the first."""
    EXTRA_BLANK_LINE = auto()  # Q60
    """RETR adds a blank line at the end."""
    WRAPS_UTF8 = auto()  # Q60
    """A mail with 8-bit octets in its headers comes inside another one, unless UTF8 was said."""
    HIDES_READ = auto()  # Q63
    """What was read is not shown again once QUIT was said, except to `recent:user`."""
    OLDEST_250 = auto()  # Q63
    """A session shows the oldest 250 messages."""
    CLOSES_ON_DELE_AFTER_LARGE_RETR = auto()  # Q64
    """DELE closes the connection once a mail of 1 MiB or more was read."""

    # QUIT and after
    QUIT_WITHOUT_REPLY = auto()  # Q65
    """QUIT commits and closes without an answer."""
    QUIT_WITHOUT_CLOSE_NOTIFY = auto()  # Q65
    """QUIT is answered, and TLS ends without close_notify."""
    LOCK_LINGERS = auto()  # Q66
    """After a connection was lost, the mailbox stays locked for a second."""
    FORGETS_DELETIONS = auto()  # Q67
    """QUIT says `+OK`, and deletes nothing."""
    FLAPPING_COUNT = auto()  # Q69
    """Every second session lacks the last message, as replicas that differ do."""
    COMMITS_ON_DROP = auto()  # threat 88
    """A lost connection deletes what was marked."""

    # Pipelining
    DROPS_PIPELINED = auto()  # threat 55
    """What is pipelined after a command is lost."""
    STOPS_READING = auto()  # threat 56
    """Commands are not taken in while replies wait to be read."""

    @classmethod
    def together(cls, quirks: "Quirk | Iterable[Quirk]") -> frozenset["Quirk"]:
        """Take combined members apart, however they were given."""
        given = [quirks] if isinstance(quirks, Quirk) else quirks
        return frozenset(single for quirk in given for single in cls if single in quirk)
