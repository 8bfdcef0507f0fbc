"""Seen: which messages of which accounts were handled, in one file, for programs that need no archive.

A message is its uid and its size, because servers give one uid to two messages, or use it again. What is not certain
counts as not handled: a message may come twice, and is never passed over. `seen` takes the messages of mailboxes,
`messages` knows one account by its listings, `renumbering` recognises messages under new uids, and `file` keeps it all.
"""

from pymailbox.seen.messages import Listing, SeenMessages
from pymailbox.seen.seen import Seen

__all__ = ["Listing", "Seen", "SeenMessages"]
