"""A simulated provider for demos, tests and load: OpenAI-shaped and Anthropic-shaped, with real usage numbers, latency,
and faults on demand. Its answers are a function of the prompt, so that one can tell whose answer one got.
"""
