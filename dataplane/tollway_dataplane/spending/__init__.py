"""The budgets' part of a request, over the ledger's port: hold, extend, wait, lease."""
