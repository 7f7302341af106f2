"""Fixtures of what compares prompts."""

from functools import partial

import pytest

from tests.dataplanes import SharedEmbedder
from tests.views import ViewOf, view_of


@pytest.fixture(scope="session")
def view(embedder: SharedEmbedder) -> ViewOf:
    return partial(view_of, embedder=embedder)
