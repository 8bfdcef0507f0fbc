"""Fuzzing by hand; nothing here is collected by pytest. What it finds stays as a test beside the others."""
