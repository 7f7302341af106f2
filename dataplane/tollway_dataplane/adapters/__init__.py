"""One third party each, behind a Protocol of `ports`, with its exceptions translated to ours."""
