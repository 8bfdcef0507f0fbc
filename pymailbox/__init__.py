"""pymailbox: a POP3 account as a Python sequence of messages."""
