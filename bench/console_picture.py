"""`python -m bench.console_picture [FILE]`: the picture of the console in the documents, taken in a real browser of two
real data planes after a mixed load from two tenants at simulated providers. Deadlines are long, so that a busy machine
shows no faults. Needs Debian's package chromium.
"""

import argparse
import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.browser import browser, tab
from tests.dataplanes import BETA_KEY, Running, Setup, SharedEmbedder, running
from tests.servers import provider, redis_servers

TARGET: Final = Path(__file__).parents[1] / "docs" / "pictures" / "console.webp"
TOKEN: Final = "the-admin-token"
ASKED: Final = (
    "How do I reset my password?", "How can I reset my password?", "What is a fjord?", "Which day comes after Monday?",
    "Compare optimistic and pessimistic locking for a booking system.", "What is the price of shipping?",
    "How do I move money from savings to checking?", "How do I move money from checking to savings?",
)  # fmt: skip
HOURLY: Final = {"name": "hourly-requests", "unit": "Requests", "amount": "12", "window": {"rolling": "1h"}}
DAILY: Final = {"name": "daily-dollars", "amount": "0.003"}


async def load(planes: list[Running]) -> None:
    """Every prompt a few times, by both tenants, at each data plane in turn."""
    for number in range(5 * len(ASKED)):
        gateway = planes[number % len(planes)]
        await gateway.ask(ASKED[(number * 3) % len(ASKED)])
        if number % 3 == 0:
            await gateway.ask(f"{ASKED[number % len(ASKED)]} Order {number // 4}.", key=BETA_KEY)


async def take(folder: Path, target: Path) -> None:
    embedder = await SharedEmbedder.load()
    assert isinstance(embedder, SharedEmbedder)
    (folder / "tokens").mkdir()
    (folder / "tokens" / "token").write_text(TOKEN)
    async with AsyncExitStack() as stack:
        cheap, rich = (stack.enter_context(provider(name)) for name in ("cheap", "rich"))
        cache, ledger = stack.enter_context(redis_servers(folder / "redis"))
        setup = replace(
            Setup(cheap.endpoint, rich.endpoint), acme={"limits": [DAILY]}, beta={"limits": [HOURLY]}
        )
        planes = [
            await stack.enter_async_context(
                running(
                    *(setup, cache.url, ledger.url, embedder),
                    admin_token_dir=folder / "tokens",
                    ledger_deadline_s=30.0,
                    cache_read_deadline_s=10.0,
                    embed_deadline_s=30.0,
                    identity=f"tollway-dataplane-7c9f6d-{name}",
                )
            )
            for name in ("k2x8p", "q4m7z")
        ]
        await load(planes)
        cheap.fail("server-error")
        await planes[0].ask("What is a lighthouse?")
        address = await stack.enter_async_context(browser(folder / "browser"))
        page = await stack.enter_async_context(tab(address, TOKEN))
        await page.look("light", 1_200, 1_350)
        await page.open(f"{planes[0].admin_url}/console")
        await page.until("document.querySelectorAll('#decisions tbody tr').length > 0")
        await page.picture(target)
    print(f"{target}: {target.stat().st_size} bytes")  # noqa: ASYNC240 - nothing waits any more


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", nargs="?", type=Path, default=TARGET)
    target: Path = parser.parse_args().file
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(take(Path(name), target))


if __name__ == "__main__":
    main()
