"""How fast pymailbox is, next to poplib, curl, mpop and a floor in plain Python: `python -m tests.benchmarks`.

Nothing here is a timed test; `test_benchmarks.py` proves that the clients read the right bytes.
"""
