"""A data plane asks no endpoint that its own setting does not open, whoever compiled it in."""

from tests.conftest import Start
from tests.dataplanes import Setup
from tests.servers import Provider


async def test_an_endpoint_that_is_not_opened_is_sent_nothing_and_the_caller_is_told_no_address(
    start: Start, setup: Setup, cheap: Provider, rich: Provider
) -> None:
    embedding = {"provider": "OpenAICompatible", "model": "m", "dimensions": 8, "endpoint": cheap.endpoint}
    gateway = await start(setup.but(index={"embedding": embedding}), allow_endpoints=())
    reply = await gateway.ask("What is a fjord?")
    assert reply.status == 503
    assert reply.headers["x-tollway-failed-attempts"] == "cheap:ServerError, rich:ServerError"
    errors = (await gateway.metrics())["ai_upstream_errors_total"]
    kinds = {dict(labels)["model"]: dict(labels)["kind"] for labels in errors}
    assert kinds == {"cheap": "ForbiddenEndpoint", "rich": "ForbiddenEndpoint"}
    assert "127.0.0.1" not in reply.body.decode()
    assert cheap.total == rich.total == 0
