"""The data plane: one request, one decision."""
