"""The cache's part of a request, over its ports: look up, compare, remember, forget, and move to another embedding."""
