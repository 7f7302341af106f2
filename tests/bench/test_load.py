"""What wrk prints by our script is read."""

from bench.load import Burst, read

PRINTED = """\
Running 2s test @ http://127.0.0.1:16000/v1/chat/completions
  1 threads and 32 connections
  2042 requests in 2.01s, 1.21MB read
  Non-2xx or 3xx responses: 3
Requests/sec:   1015.92
found\t1015.9203980099\t30.89\t41.5\t53.481\t2042\t3
"""


def test_rates_percentiles_and_errors_are_told_by_one_line() -> None:
    assert read(PRINTED) == Burst(1015.9203980099, 30.89, 41.5, 53.481, 2042, 3)
