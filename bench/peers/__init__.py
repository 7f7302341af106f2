"""Gateways of others that we are held against, installed apart from Tollway by locks with hashes."""
