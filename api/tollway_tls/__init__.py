"""How the operator and data planes know each other by certificates."""
