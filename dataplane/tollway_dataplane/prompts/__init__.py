"""One text as it is read: its words, numbers, languages, what it leans on, and what is not to be remembered. Pure."""
