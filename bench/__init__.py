"""Benchmarks: what is measured, against whom, and the results with the command that made them."""
