"""How fast pymailbox is, next to poplib, curl, mpop and a floor in plain Python: `python -m tests.benchmarks`.

    mailbags       what is in the mailboxes, the same on every run
    memory_server  a process that answers POP3 from memory
    delay_line     a process that makes the way to it 50 ms long
    floor          the least a Python client can do: the measure of everything else
    standard       poplib and the email package doing the same work
    ours           pymailbox doing the same work: Mailbox, AsyncMailbox, Connection
    child          one measurement, in a process of its own
    rounds         every client doing every work, interleaved
    report         the table and the chart

Nothing here is a timed test; `test_benchmarks.py` proves that the clients read the right octets.
"""
