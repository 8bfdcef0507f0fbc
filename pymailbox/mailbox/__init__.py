"""The mailbox: a session as a sequence of messages and as a transaction, blocking and over asyncio.

`pymailbox` has the public names. Nothing is imported here, to keep asyncio out of blocking programs.
"""
