"""A crowd that wants more than its tenants may spend, on real servers: Redis, data planes and the simulated provider,
each a process; with faults on demand. Then three sums: of the ledger, of the provider's own bill, and of the metrics.
Used by `bench.budgets` and, in short, by the tests.
"""

import asyncio
import itertools
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    aclosing,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Final, cast

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.dataplanes import compiled, manifest, secret
from tests.processes import Process, ProcessOf, free_port, started
from tests.proxies import Proxy, proxy
from tests.snapshots import mounted, process_env
from tollway_api import wire
from tollway_api.inventory import RawObject
from tollway_api.snapshot import NANO_PER_USD, Snapshot, Tenant, encode
from tollway_cli.embedded_redis import EmbeddedRedis, RedisRole
from tollway_cli.simulator.answers import answer_for, count_tokens, prompt_tokens
from tollway_dataplane.adapters.redis_client import connect
from tollway_dataplane.adapters.redis_ledger import RedisLedger
from tollway_dataplane.errors import LedgerFault
from tollway_operator.provision import provision

MODEL: Final = "gpt-4o-mini"
# One of the same tokenizer, which stands in when the provider fails. Nano-USD a token of the prompt and of the answer.
STAND_IN: Final = "gpt-4.1-nano"
PRICES: Final = {MODEL: (150, 600), STAND_IN: (100, 400)}
PROVIDER: Final = "provider"
OURS_S: Final = 60.0  # that a slow machine may take to answer what only we ask
STARTS_S: Final = 600.0  # and to start what we wait for
AT_THE_DOOR: Final = 300  # callers at a time who connect
PAUSE_S: Final = (0.5, 2.5)  # between two questions of one caller
# Of a provider's calls, so many fail, stall, break off, or lie about what was used.
PROVIDER_FAULTS: Final = {
    "server-error": 0.03,
    "rate-limit": 0.03,
    "reset": 0.01,
    "stall": 0.01,
    "cut": 0.02,
    "short": 0.01,
    "silent": 0.03,
    "dear": 0.01,
}


@dataclass(frozen=True)
class Shape:
    """How much is asked. `worst` and `demand` are multiples, of an answer's real cost and of the limit."""

    tenants: int = 20
    callers: int = 50  # of each tenant, who ask at the same time
    questions: int = 1  # of each caller, one after the other; what is refused is not asked again
    pods: int = 4
    worst: float = 10.0
    demand: float = 3.0
    tokens_per_second: float = 20.0

    def prompts(self, tenant: int, caller: int) -> list[str]:
        return [f"Question {tenant:02}-{caller:03}-{number}?" for number in range(self.questions)]

    def costs(self, tenant: int) -> list[int]:
        """Of every answer that the tenant's callers want, in nano-USD."""
        asked = [prompt for caller in range(self.callers) for prompt in self.prompts(tenant, caller)]
        return [_cost(MODEL, *_tokens(prompt)) for prompt in asked]

    def limit(self, tenant: int) -> int:
        """Nano-USD."""
        return int(sum(self.costs(tenant)) / self.demand)

    @cached_property
    def max_tokens(self) -> int:
        """By which an answer's worst case is so much more than its mean cost."""
        costs = self.costs(0)
        return int(self.worst * sum(costs) / len(costs) / PRICES[MODEL][1])


def _tokens(prompt: str) -> tuple[int, int]:
    answer = answer_for(PROVIDER, MODEL, prompt)
    return prompt_tokens(MODEL, [{"role": "user", "content": prompt}]), count_tokens(MODEL, answer)


def _cost(model: str, prompt: int, completion: int) -> int:
    return prompt * PRICES[model][0] + completion * PRICES[model][1]


def _name(tenant: int) -> str:
    return f"tenant-{tenant:02}"


def _key(tenant: int) -> str:
    return f"key-of-tenant-{tenant:02}"


def manifests(shape: Shape, endpoint: str, timeout: str) -> list[RawObject]:
    models = [
        {"name": name, "model": f"openai/{model}", "endpoint": endpoint, "timeout": timeout}
        for name, model in (("main", MODEL), ("stand-in", STAND_IN))
    ]
    policy = {"models": models, "route": {"simpleModel": "main", "complexModel": "main"}}
    objects = [manifest("RoutingPolicy", "chat", policy)]
    for tenant in range(shape.tenants):
        name, amount = _name(tenant), f"{shape.limit(tenant) / NANO_PER_USD:.9f}"
        limits = [{"name": "money", "amount": amount}]
        objects.append(
            manifest("TenantBudget", name, {"apiKeys": [{"secretRef": {"name": name}}], "limits": limits})
        )
        objects.append(secret(name, _key(tenant)))
    return objects


@dataclass
class Account:
    """Of one tenant, in nano-USD."""

    limit: int
    ledger: int = 0
    held: int = 0  # for requests, when all was over
    billed: int = 0  # by the provider
    metrics: int = 0
    estimated: int = 0
    overshoot: int = 0
    killed: int = 0  # held by pods when they were killed
    broken: int = 0  # answers that broke off

    @property
    def epsilon(self) -> int:
        """What was measured, what killed pods could not settle, and what nobody saw of answers that broke off."""
        return self.overshoot + self.killed + self.broken * UNDER_WAY_NANO


# Of an answer that breaks off, tokens that nobody sees any more.
UNDER_WAY_NANO: Final = 8 * PRICES[MODEL][1]


@dataclass(frozen=True)
class Sample:
    """Shares of all limits together, and requests refused until then."""

    seconds: float
    spent: float
    held: float
    refused: int


@dataclass
class Outcome:
    accounts: list[Account]
    samples: list[Sample]
    replies: Counter[str]
    faults: Counter[str]
    seconds: float
    settled_after_s: float  # from the last reply until nothing was held


@dataclass
class Pod:
    port: int
    admin: int
    env: Mapping[str, str]
    log: Path
    begin: ProcessOf
    process: Process | None = None
    closing: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        self.process = self.closing.enter_context(self.begin(self.log, "tollway_dataplane", self.env))

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin}"


def _anew(log: Path, module: str, env: Mapping[str, str]) -> AbstractContextManager[Process]:
    return started(log, module, env=env)


class Town:
    """The servers, and what is asked of them."""

    def __init__(self, shape: Shape, seed: int) -> None:
        self.shape = shape
        self.snapshot: Snapshot
        self.pods: list[Pod] = []
        self.provider = ""
        self.ledger_redis: EmbeddedRedis
        self.proxy: Proxy | None = None
        self.http: aiohttp.ClientSession
        self.replies: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.accounts = [Account(shape.limit(tenant)) for tenant in range(shape.tenants)]
        self.samples: list[Sample] = []
        self.began = time.monotonic()
        self.over = False
        self._draw = random.Random(seed)  # noqa: S311 - a run that can be repeated
        self._turn = itertools.cycle(range(shape.pods))
        self._last_heard: dict[int, list[Account]] = {}

    def tenant(self, number: int) -> Tenant:
        return next(each for each in self.snapshot.tenants.values() if each.name == _name(number))

    async def call(self, caller: int, tenant: int) -> None:
        """Asks all questions of one caller."""
        for number, prompt in enumerate(self.shape.prompts(tenant, caller)):
            if number:
                await asyncio.sleep(self._draw.uniform(*PAUSE_S))
            await self._ask(prompt, tenant, stream=caller % 2 == 0)

    async def _ask(self, prompt: str, tenant: int, *, stream: bool) -> None:
        body = {
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": self.shape.max_tokens,
            "stream": stream,
            "user": _name(tenant),
        }
        headers = {"authorization": f"Bearer {_key(tenant)}"}
        # A pod that is not there is not asked: that is what stands between callers and pods.
        for _ in range(2 * self.shape.pods):
            pod = self.pods[next(self._turn)]
            url = f"http://127.0.0.1:{pod.port}/v1/chat/completions"
            try:
                async with self.http.post(url, json=body, headers=headers) as reply:
                    text = await reply.read()
                    ended = (
                        "cut" if "x-tollway-cut" in reply.headers or b"the answer ends here" in text else ""
                    )
                    if b"broke the stream off" in text:
                        ended = "broken"
                    outcome = ended or str(reply.status)
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.05)
                continue
            except (aiohttp.ClientError, TimeoutError):
                outcome = "broken"
            break
        else:
            outcome = "nobody there"
        self.replies[outcome] += 1
        self.accounts[tenant].broken += outcome == "broken"

    @property
    def refused(self) -> int:
        return self.replies["429"] + self.replies["503"]

    async def sample(self) -> None:
        """Notes twice a second what the ledger says."""
        async with self.ledger() as ledger:
            while True:
                with suppress(LedgerFault):
                    taken = [(await ledger.read(self.tenant(each)))[0] for each in range(self.shape.tenants)]
                    most = sum(each.limit for each in self.accounts)
                    spent, held = (sum(each) / most for each in zip(*taken, strict=True))
                    self.samples.append(Sample(time.monotonic() - self.began, spent, held, self.refused))
                await asyncio.sleep(0.5)

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[RedisLedger]:
        async with aclosing(connect(self.ledger_redis.url, OURS_S)) as redis:
            yield RedisLedger(redis, OURS_S)

    async def break_things(self, every_s: float) -> None:
        """One fault after the other, in the same order again and again, until the crowd has gone."""
        for number in itertools.count():
            await asyncio.sleep(every_s)
            if self.over:
                return
            match number % 3:
                case 0:
                    await self._kill(self.pods[number // 3 % len(self.pods)])
                case 1:
                    assert self.proxy is not None
                    self.proxy.lose_replies()
                    self.faults["replies lost"] += 1
                case 2:
                    await asyncio.to_thread(self._restart_redis)

    def _restart_redis(self) -> None:
        self.ledger_redis.kill()
        self.ledger_redis.start()
        self.faults["Redis restarted"] += 1

    async def _kill(self, pod: Pod) -> None:
        """Notes first what it has counted and what it holds, while it stands still."""
        assert pod.process is not None
        await self.ready([pod])
        mine = await self._request_prefix(pod)
        await self._hear(pod)
        pod.process.process.send_signal(signal.SIGSTOP)
        try:
            holds = await self._holds()
            for account, held in zip(self.accounts, holds, strict=True):
                account.killed += sum(amount for hold, amount in held.items() if hold.startswith(mine))
        finally:
            pod.process.process.send_signal(signal.SIGKILL)
            pod.process.process.wait(30)
        self.faults["pods killed"] += 1
        pod.start()

    async def _holds(self) -> list[dict[str, int]]:
        """Of each tenant what is held for requests, in nano-USD by their ids. What living pods set aside for when the
        ledger is away is no request's.
        """
        async with aclosing(connect(self.ledger_redis.url, OURS_S)) as redis:
            standing = cast("dict[bytes, bytes]", await redis.hgetall(wire.ledger_keys("").holds))
        found: dict[str, dict[str, int]] = {_name(number): {} for number in range(self.shape.tenants)}
        for name, amounts in standing.items():
            tenant, _, hold = name.decode().partition("/")
            if hold and not hold.startswith("lease."):
                found[tenant][hold] = int(amounts.rpartition(b"=")[2])
        return list(found.values())

    async def _request_prefix(self, pod: Pod) -> str:
        """What the ids of a pod's requests begin with."""
        url = f"http://127.0.0.1:{pod.port}/v1/models"
        async with self.http.get(url, headers={"authorization": "Bearer nobody"}) as reply:
            return reply.headers["x-tollway-request-id"][:-8]

    async def _hear(self, pod: Pod) -> None:
        """Adds what the pod has counted since it began."""
        async with self.http.get(f"{pod.admin_url}/metrics") as reply:
            families = text_string_to_metric_families(await reply.text())
        names = {
            "ai_cost_per_tenant": "metrics",
            "ai_cost_estimated_usd_total": "estimated",
            "ai_budget_overshoot_usd": "overshoot",
        }
        by_name = {_name(number): account for number, account in enumerate(self.accounts)}
        for sample in (sample for family in families for sample in family.samples):
            if sample.name in names and (account := by_name.get(sample.labels["tenant"])):
                where = names[sample.name]
                setattr(account, where, getattr(account, where) + round(sample.value * NANO_PER_USD))

    async def settled(self, within_s: float) -> float:
        """Waits until nothing is under way or held; how long that took."""
        began = time.monotonic()
        async with self.ledger() as ledger:
            while time.monotonic() < began + within_s:
                seen = await self._seen()
                await ledger.read(self.tenant(0))  # which frees what has expired
                if not seen["in_flight"] and not any(await self._holds()):
                    break
                await asyncio.sleep(0.5)
        return time.monotonic() - began

    async def _seen(self) -> Mapping[str, object]:
        async with self.http.get(f"{self.provider}/control/requests") as reply:
            found: Mapping[str, object] = await reply.json()
            return found

    async def count(self) -> None:
        """The three sums."""
        for pod in self.pods:
            await self._hear(pod)
        bills = (await self._seen())["bills"]
        assert isinstance(bills, dict)
        holds = await self._holds()
        async with self.ledger() as ledger:
            for number, account in enumerate(self.accounts):
                (taken,) = await ledger.read(self.tenant(number))
                account.ledger, account.held = taken.used, sum(holds[number].values())
                account.billed = sum(
                    _cost(model, bill.get("prompt", 0), bill.get("completion", 0))
                    for model, bill in bills.get(_name(number), {}).items()
                )

    async def fail(self, faults: Mapping[str, float]) -> None:
        given = [{"kind": kind, "probability": share} for kind, share in faults.items()]
        async with self.http.put(f"{self.provider}/control/faults", json={"faults": given}) as reply:
            reply.raise_for_status()

    async def ready(self, pods: Sequence[Pod]) -> None:
        """However slow the machine is: a pod that has ended is said at once, with its last words."""
        for pod in pods:
            await self._answers(f"{pod.admin_url}/readyz", pod.process)

    async def _answers(self, url: str, process: Process | None) -> None:
        async with asyncio.timeout(STARTS_S):
            while True:
                if process is not None and (code := process.process.poll()) is not None:
                    raise AssertionError(f"ended with {code}: {process.output[-2_000:]}")
                with suppress(aiohttp.ClientError):
                    async with self.http.get(url) as reply:
                        if reply.status == 200:
                            return
                await asyncio.sleep(0.1)


@contextmanager
def _servers(town: Town, folder: Path, begin: ProcessOf, *, faults: bool) -> Iterator[None]:
    shape = town.shape
    with ExitStack() as stack:
        port = free_port()
        rate = str(shape.tokens_per_second)
        arguments = [
            "simulate",
            "--listen",
            f"127.0.0.1:{port}",
            "--name",
            PROVIDER,
            "--tokens-per-second",
            rate,
        ]
        stack.enter_context(started(folder / "provider.log", "tollway_cli", *arguments))
        town.provider = f"http://127.0.0.1:{port}"
        cache = stack.enter_context(EmbeddedRedis(RedisRole.CACHE, folder / "cache"))
        town.ledger_redis = ledger = stack.enter_context(EmbeddedRedis(RedisRole.LEDGER, folder / "ledger"))
        # Without faults nothing may be late, however slow the machine is.
        timeout = "10s" if faults else "100s"
        town.snapshot = compiled(manifests(shape, f"{town.provider}/v1", timeout))
        asyncio.run(provision(town.snapshot, cache.url, ledger.url))
        mounted(encode(town.snapshot), folder / "snapshot", 1)
        if faults:
            town.proxy = stack.enter_context(proxy(ledger.url))
        for number in range(shape.pods):
            pod = Pod(free_port(), free_port(), {}, folder / f"pod-{number}.log", begin)
            env = process_env(folder / "snapshot", cache, ledger, pod.port, pod.admin)
            if town.proxy is not None:
                env["TOLLWAY_LEDGER_REDIS_URL"] = f"{town.proxy.url}/0"
            pod.env = {**env, "TOLLWAY_LEDGER_DEADLINE_S": "2" if faults else "30"}
            stack.enter_context(pod.closing)
            pod.start()
            town.pods.append(pod)
        yield


def _few_at_the_door() -> aiohttp.TraceConfig:
    """Who has a connection sends its request before many others have one: data planes let go of those who say nothing
    for half a minute, which is how long a slow machine may take to connect thousands.
    """
    door, trace = asyncio.Semaphore(AT_THE_DOOR), aiohttp.TraceConfig()

    async def enter(_: aiohttp.ClientSession, request: SimpleNamespace, __: object) -> None:
        await door.acquire()
        request.at_the_door = True

    async def leave(_: aiohttp.ClientSession, request: SimpleNamespace, __: object) -> None:
        if vars(request).pop("at_the_door", False):
            door.release()

    trace.on_connection_create_start.append(enter)
    trace.on_request_headers_sent.append(leave)
    trace.on_request_exception.append(leave)
    return trace


async def _spend(town: Town, *, faults_every_s: float | None, patience_s: float) -> Outcome:
    shape = town.shape
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=300)
        town.http = await stack.enter_async_context(
            aiohttp.ClientSession(connector=connector, timeout=timeout, trace_configs=[_few_at_the_door()])
        )
        await town._answers(f"{town.provider}/healthz", None)
        await town.ready(town.pods)
        if faults_every_s is not None:
            await town.fail(PROVIDER_FAULTS)
        town.began = time.monotonic()
        tasks = [asyncio.create_task(town.sample())]
        if faults_every_s is not None:
            tasks.append(asyncio.create_task(town.break_things(faults_every_s)))
        callers = itertools.product(range(shape.callers), range(shape.tenants))
        await asyncio.gather(*(town.call(caller, tenant) for caller, tenant in callers))
        seconds, town.over = time.monotonic() - town.began, True
        await asyncio.gather(*tasks[1:])
        await town.ready(town.pods)
        settled_s = await town.settled(patience_s)
        await asyncio.sleep(0.6)
        tasks[0].cancel()
        with suppress(asyncio.CancelledError):
            await tasks[0]
        await town.count()
    return Outcome(town.accounts, town.samples, town.replies, town.faults, seconds, settled_s)


def spend(
    shape: Shape,
    folder: Path,
    *,
    seed: int = 0,
    faults_every_s: float | None = None,
    patience_s: float = 60.0,
    begin: ProcessOf = _anew,
) -> Outcome:
    """Everything is started, asked, counted and stopped. `begin` starts a data plane."""
    town = Town(shape, seed)
    with _servers(town, folder, begin, faults=faults_every_s is not None):
        return asyncio.run(_spend(town, faults_every_s=faults_every_s, patience_s=patience_s))
