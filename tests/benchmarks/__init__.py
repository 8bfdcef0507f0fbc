"""The speed of pymailbox compared with poplib, curl, mpop and a floor in plain Python: `python -m tests.benchmarks`.

No test is timed; `test_benchmarks.py` verifies that all clients read the right bytes.
"""
