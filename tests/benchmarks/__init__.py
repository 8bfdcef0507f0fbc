"""How fast pymailbox is, beside poplib, other programs and a floor in plain Python: `python -m tests.benchmarks`.

    mailbags       what is in the mailboxes, the same on every run
    memory_server  a process that answers POP3 from memory
    delay_line     a process that makes the wire 50 ms long
    floor          the least a Python client can do: the measure of everything else
    standard       poplib and the email package doing the same work
    programs       curl and mpop, whole processes
    ours           pymailbox doing the same work
    works          which client does which work over which wire
    child          one measurement, in a process of its own
    rounds         all measurements, interleaved, and what they come to
    limits         what has to be reached
    tables, chart  what is printed and written to docs/

Nothing here is a timed test; `tests/test_benchmarks.py` proves that the clients return the right octets.
"""
