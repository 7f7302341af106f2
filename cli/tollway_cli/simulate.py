"""`tollway simulate`: serves the simulated provider until it is told to stop."""

import asyncio

from rich.console import Console

from tollway_cli.simulator.answers import count_tokens
from tollway_cli.simulator.app import SimulatorSettings, create_simulator
from tollway_dataplane.server import Site, listen, serve, stop_on_signals
from tollway_dataplane.settings import Address


async def simulate(settings: SimulatorSettings, address: Address, console: Console) -> None:
    """Raises ListenError."""
    for model in (
        "gpt-4o",
        "gpt-4",
    ):  # by which all others count: building a table would keep the first caller waiting
        count_tokens(model, "")
    stop = asyncio.Event()
    stop_on_signals(stop)
    site = Site(create_simulator(settings), listen(address))
    console.print(
        f"provider {settings.name!r} on http://{site.address}/v1 (OpenAI and Anthropic shapes). Ctrl-C stops."
    )
    await serve([site], stop, drain_s=5.0, draining=asyncio.Event())
