"""The console in a real browser: what it shows, in both colour schemes, on a phone, by keys, and to a screen reader."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.browser import Page, browser, tab
from tests.conftest import Start
from tests.dataplanes import ACME_KEY, BETA_KEY, Running, Setup
from tests.servers import Provider

TOKEN = "the-admin-token"
LIMITS = [
    {"name": "money", "amount": "1.00"},
    {"name": "few", "unit": "Requests", "amount": "5", "window": {"rolling": "1h"}},
]
LOADED = "document.querySelectorAll('#decisions tbody tr').length > 0"
UP_TO_DATE = "document.getElementById('news').textContent === 'Up to date.'"
PHONE, DESK = 360, 1_280


@pytest.fixture
async def gateway(start: Start, setup: Setup, tmp_path: Path) -> Running:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens" / "token").write_text(TOKEN)
    return await start(setup.but(acme={"limits": LIMITS}), admin_token_dir=tmp_path / "tokens")


@pytest.fixture(scope="module")
async def address(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with browser(tmp_path_factory.mktemp("browser")) as begun:
        yield begun


@pytest.fixture
async def page(address: str) -> AsyncIterator[Page]:
    async with tab(address, TOKEN) as opened:
        yield opened


async def load(gateway: Running, cheap: Provider) -> None:
    """Something of everything."""
    for prompt in (
        "How do I reset my password?",
        "How do I reset my password?",
        "How can I reset my password?",
    ):
        await gateway.ask(prompt)
    cheap.fail("server-error")
    await gateway.ask("Which day comes after Monday?")
    await gateway.ask("What is a delta?", key=BETA_KEY)
    for number in range(4):
        await gateway.ask(f"What is number {number}?", key=ACME_KEY)


def texts(selector: str) -> str:
    return f"[...document.querySelectorAll({selector!r})].map(each => each.textContent)"


async def test_the_page_shows_the_figures_and_asks_nobody_else(
    gateway: Running, page: Page, cheap: Provider
) -> None:
    await load(gateway, cheap)
    await page.look("light", DESK)
    await page.open(f"{gateway.admin_url}/console")
    await page.until(LOADED)
    assert await page.evaluate(texts("#requests tbody th")) == ["exact", "semantic", "live", "refused"]
    rows = await page.evaluate(texts("#decisions tbody tr"))
    assert len(rows) == len(gateway.requests()) == 9
    assert "BudgetExceeded" in rows[0] or "few" in rows[0]
    assert await page.evaluate(texts("#budgets tbody tr:first-child td"))
    assert (await page.evaluate(texts("#budgets tbody tr")))[0].startswith(
        "acmefew5 of 5 requests100 %, used up"
    )
    (spent,) = await page.evaluate(texts("[data-total=spent_usd]"))
    assert float(spent) > 0
    text = await page.evaluate("document.documentElement.outerHTML")
    for hidden in ("password", "Monday", ACME_KEY, TOKEN):
        assert hidden not in text
    await page.until("performance.getEntriesByName(location.origin + '/console/state').length > 1")
    assert {each for each in page.requests if not each.startswith(f"{gateway.admin_url}/console")} <= {
        "data:,"
    }
    assert page.errors == []


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_can_be_read_by_all(
    gateway: Running, page: Page, cheap: Provider, scheme: str, width: int
) -> None:
    await page.look("dark" if scheme == "dark" else "light", width)
    await page.open(f"{gateway.admin_url}/console")
    await page.until(UP_TO_DATE)
    assert await page.violations() == [], "with nothing to show"
    assert await page.evaluate(texts(".empty:not([hidden])")), "it says what to do"
    await load(gateway, cheap)
    await page.until(LOADED)
    assert await page.violations() == []
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "only tables are wider"
    await page.evaluate("document.getElementById('alone').textContent = 'x'; alone.hidden = false")
    await page.evaluate("document.body.classList.add('lost')")
    assert await page.violations() == [], "where something is amiss"
    ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") is (scheme == "light")


async def test_everything_is_reached_by_keys(gateway: Running, page: Page, cheap: Provider) -> None:
    await load(gateway, cheap)
    await page.look("light", PHONE)
    await page.open(f"{gateway.admin_url}/console")
    await page.until(LOADED)
    order = []
    for _ in range(6):
        await page.press("Tab")
        order.append(await page.focused())
        style = "getComputedStyle(document.activeElement)"
        assert await page.evaluate(f"{style}.outlineStyle") == "solid", "where the focus is can be seen"
    assert order == [
        "Skip to the figures",
        "pause",
        "c-requests",
        "c-data_planes",
        "c-budgets",
        "c-decisions",
    ]
    before = await page.evaluate("document.activeElement.scrollLeft")
    await page.press("ArrowRight")
    await page.until(f"document.activeElement.scrollLeft > {before}")


async def test_pausing_stops_asking(gateway: Running, page: Page) -> None:
    await page.open(f"{gateway.admin_url}/console")
    await page.until(UP_TO_DATE)
    await page.evaluate("document.getElementById('pause').focus()")
    await page.press("Enter")
    assert await page.evaluate(texts("#news")) == ["Paused."]
    asked = len(page.requests)
    await asyncio.sleep(3)
    assert len(page.requests) == asked
    await page.press("Enter")
    await page.until(UP_TO_DATE)
    assert len(page.requests) > asked


async def test_a_screen_reader_is_told_what_is_what(gateway: Running, page: Page, cheap: Provider) -> None:
    await load(gateway, cheap)
    await page.open(f"{gateway.admin_url}/console")
    await page.until(LOADED)
    told = await page.read_aloud()
    for expected in (
        ("RootWebArea", "Tollway console"),
        ("heading", "Tollway"),
        ("heading", "All data planes together"),
        ("table", "Requests by source"),
        ("table", "Data planes"),
        ("table", "Limits"),
        ("table", "Decisions"),
        ("columnheader", "Cost, USD"),
        ("rowheader", "semantic"),
        ("button", "Pause"),
    ):
        assert expected in told
    role = "document.getElementById('news').getAttribute('role')"
    assert await page.evaluate(role) == "status", "what changes there is said when it suits"


async def test_what_has_not_changed_is_left_alone(gateway: Running, page: Page, cheap: Provider) -> None:
    """So that whoever reads a table is not thrown out of it; and news is said once."""
    await load(gateway, cheap)
    await page.open(f"{gateway.admin_url}/console")
    await page.until(LOADED)
    await page.evaluate("window.changes = 0; window.row = document.querySelector('#decisions tbody tr')")
    watch = (
        "new MutationObserver(() => changes++).observe(document.getElementById('news'), {childList: true})"
    )
    await page.evaluate(f"{watch}; true")
    asked = "performance.getEntriesByName(location.origin + '/console/state').length"
    await page.until(f"{asked} >= {await page.evaluate(asked) + 3}")
    assert await page.evaluate("row.isConnected && changes === 0")


async def test_it_says_when_the_data_plane_is_away(gateway: Running, page: Page) -> None:
    await page.open(f"{gateway.admin_url}/console")
    await page.until(UP_TO_DATE)
    gateway.stop.set()
    await page.until("document.getElementById('news').textContent.includes('is away')")


async def test_markup_in_names_is_text(gateway: Running, page: Page) -> None:
    """Whoever may write a manifest gets no script onto the page of who runs the fleet."""
    await page.open(f"{gateway.admin_url}/console")
    await page.until(UP_TO_DATE)
    name = "<img src=x onerror=alert(1)>"
    row = f"{{source: {name!r}, lately: 1, total: 1}}"
    await page.evaluate(f"paused = true; turn++; fill('requests', [{row}])")
    assert await page.evaluate(texts("#requests tbody th")) == [name]
    assert await page.evaluate("document.images.length") == 0


async def test_without_the_token_there_is_nothing(gateway: Running, address: str) -> None:
    async with tab(address, None) as page:
        await page.open(f"{gateway.admin_url}/console")
        assert await page.evaluate("document.body.textContent") == "the admin token is missing or wrong"
