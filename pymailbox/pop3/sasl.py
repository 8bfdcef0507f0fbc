"""SASL mechanisms (RFC 4422, RFC 5034): what to answer to a server's challenges.

A mechanism is a value with a name. Its `exchange` is a generator, run by `login.authenticate`:

- it yields responses; the first is the initial response, or None where the server speaks first;
- it is sent the challenges, decoded from base64, and None for the server's +OK. A generator that still had something
  to say when +OK came yields it; one that wanted a proof first raises `ProtocolError`;
- a refusal (-ERR) is thrown in as `CommandError`, so that a mechanism can say more about it.

Base64, `*`, the two forms of the first step and the number of rounds are no business of a mechanism. It does no I/O.
Arguments are checked when the value is made: no C0, no DEL, before anything is sent.
"""

import json
from collections.abc import Callable, Generator
from typing import Any, ClassVar, NoReturn
from typing import Protocol as Interface

from attrs import Attribute, field, frozen

from pymailbox.errors import AuthenticationError, CommandError, NotSupported, ProtocolError, printable
from pymailbox.pop3.commands import text
from pymailbox.pop3.kerberos import GSSAPI
from pymailbox.pop3.scram import Scram
from pymailbox.pop3.peer import Peer

