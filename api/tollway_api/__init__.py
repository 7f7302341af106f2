"""The vocabulary of both planes: typed resources, the compiler, the snapshot and the wire names.

Pure: nothing below imports a network, a clock or randomness, and nothing imports another Tollway package.
"""
