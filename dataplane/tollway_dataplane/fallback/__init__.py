"""A live request: whom to ask in which order, each attempt inside its hold, and what it came to."""
