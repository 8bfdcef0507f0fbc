"""The POP3 protocol: commands, framing, flows and the blocking connection."""
