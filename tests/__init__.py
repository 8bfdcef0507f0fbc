"""The tests of pymailbox."""
