"""Pure decisions: no network, no clock, no randomness, no logging. Time and draws are arguments."""
