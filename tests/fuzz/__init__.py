"""Fuzzers to run by hand; pytest does not collect them. What they find becomes a regular test."""
