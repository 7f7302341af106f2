"""What operators see of requests: metrics, and the one line of the log."""
