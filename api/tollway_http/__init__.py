"""How both planes find whom they ask by HTTP."""
