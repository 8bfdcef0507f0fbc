"""The mailbox: a session as a sequence of messages and as a transaction, blocking and over asyncio."""
