"""How both planes connect to Redis."""
