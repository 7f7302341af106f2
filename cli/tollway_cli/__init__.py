"""The `tollway` command: composes the other packages on one machine."""
