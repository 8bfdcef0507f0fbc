"""The sample package has tests of its own; `test_sample_package` runs them."""

collect_ignore = ["sample_package"]
