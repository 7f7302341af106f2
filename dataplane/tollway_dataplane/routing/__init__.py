"""Is the simple model good enough for this prompt, and which model is to answer? Pure."""
