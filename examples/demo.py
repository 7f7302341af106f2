"""`make demo`: starts Tollway over these examples with two simulated providers, and walks through what it does, with
the official OpenAI client as two tenants. Every figure it prints comes from a real reply or from the metrics.
"""

import argparse
import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import openai
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

EXAMPLES = Path(__file__).parent
WORK = Path(".tollway/demo")
KEYS = {"acme": "acme-demo-key", "trial": "trial-demo-key"}
HARD = "Compare optimistic and pessimistic locking for a booking system, and explain when each of them wins."


@dataclass(frozen=True)
class Step:
    """One row of the table."""

    tenant: str
    what: str
    prompt: str
    expected: str  # the source that the reply must name
    stream: bool = False
    explained: bool = False  # whether the header is shown that says why


@dataclass(frozen=True)
class Result:
    step: Step
    status: int
    headers: dict[str, str]
    answer: str
    latency_ms: float


class DemoError(Exception):
    """Something did not happen as the demo says."""


class Demo:
    def __init__(self, console: Console, ports: dict[str, int], http: aiohttp.ClientSession) -> None:
        self._console = console
        self._ports = ports
        self._http = http
        self._results: list[tuple[Result, float, float]] = []
        self._clients = {
            tenant: openai.AsyncOpenAI(
                base_url=f"http://127.0.0.1:{ports['public']}/v1",
                api_key=key,
                max_retries=0,
                http_client=openai.DefaultAsyncHttpxClient(trust_env=False),  # no proxy in between
            )
            for tenant, key in KEYS.items()
        }

    async def ask(self, step: Step) -> Result:
        """One request, with what it cost and saved read from the metrics around it."""
        before = await self.metrics()
        result = await self._send(step)
        after = await self.metrics()

        def spent(name: str) -> float:
            key = (name, ("tenant", step.tenant))
            return after.get(key, 0.0) - before.get(key, 0.0)

        self._results.append((result, spent("ai_cost_per_tenant"), spent("ai_cost_saved_usd_total")))
        source = result.headers.get("x-tollway-source", f"refused ({result.status})")
        why = (
            f" (x-tollway-cache-reason: {result.headers['x-tollway-cache-reason']})" if step.explained else ""
        )
        self._console.print(f"  {len(self._results):2}. {step.what}: [bold]{source}[/]{why}")
        if source != step.expected:
            raise DemoError(f"{step.what}: expected {step.expected}, but it was {source}. {result.answer}")
        return result

    async def _send(self, step: Step) -> Result:
        completions = self._clients[step.tenant].chat.completions.with_raw_response
        started = time.perf_counter()
        try:
            if step.stream:
                raw = await completions.create(
                    model="auto",
                    messages=[{"role": "user", "content": step.prompt}],
                    stream=True,
                    stream_options={"include_usage": True},
                )
                answer = ""
                async for chunk in raw.parse():
                    answer += "".join(choice.delta.content or "" for choice in chunk.choices)
            else:
                raw_whole = await completions.create(
                    model="auto", messages=[{"role": "user", "content": step.prompt}]
                )
                answer = raw_whole.parse().choices[0].message.content or ""
                return Result(step, 200, dict(raw_whole.headers), answer, _ms_since(started))
            return Result(step, 200, dict(raw.headers), answer, _ms_since(started))
        except openai.APIStatusError as error:
            message = error.body["message"] if isinstance(error.body, dict) else error.message
            return Result(step, error.status_code, dict(error.response.headers), message, _ms_since(started))

    async def metrics(self) -> dict[tuple[str, tuple[str, str]], float]:
        """Every sample by its name and each of its labels."""
        async with self._http.get(f"http://127.0.0.1:{self._ports['admin']}/metrics") as reply:
            text = await reply.text()
        values: dict[tuple[str, tuple[str, str]], float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                for label in sample.labels.items() or [("", "")]:
                    values[sample.name, label] = values.get((sample.name, label), 0.0) + sample.value
        return values

    async def break_provider(self, broken: bool) -> None:
        url = f"http://127.0.0.1:{self._ports['cheap']}/control/faults"
        faults = {"faults": [{"kind": "server-error"}] if broken else []}
        async with self._http.put(url, json=faults) as reply:
            reply.raise_for_status()

    async def edit(self, manifest: Path, old: str, new: str) -> str:
        """Saves a change to the file, and waits until it runs."""
        before = await self.revision()
        await asyncio.to_thread(_replace, manifest, old, new)
        for _ in range(200):
            if (now := await self.revision()) != before:
                return f"{before} → {now}"
            await asyncio.sleep(0.05)
        raise RuntimeError(f"the edited {manifest.name} was not taken within 10 seconds")

    async def revision(self) -> str:
        async with self._http.get(f"http://127.0.0.1:{self._ports['admin']}/readyz") as reply:
            return str((await reply.json())["revision"])

    async def walk(self, manifests: Path) -> None:
        ask, acme, trial = self.ask, "acme", "trial"
        password = "How do I reset my password?"
        paraphrase = "How can I reset my password?"
        await ask(Step(acme, "a first question", password, "live"))
        await ask(Step(acme, "the same again", password, "exact"))
        await ask(Step(acme, "a paraphrase", paraphrase, "semantic", explained=True))
        await ask(Step(trial, "a paraphrase by another tenant", paraphrase, "live"))
        await ask(Step(acme, "a question", "What is the price?", "live"))
        await ask(Step(acme, "… that only looks the same", "What is the price of shipping?", "live"))
        await ask(Step(acme, "a question", "How do I move money from savings to checking?", "live"))
        turned = "How do I move money from checking to savings?"
        await ask(Step(acme, "… and a near-miss", turned, "live", explained=True))
        await ask(Step(acme, "a hard question", HARD, "live"))
        await self.break_provider(True)
        await ask(Step(acme, "the cheap provider is broken", "Which day comes after Monday?", "live"))
        await self.break_provider(False)
        await ask(Step(acme, "a stream", "What is a lighthouse?", "live", stream=True))
        await ask(Step(acme, "the same stream again", "What is a lighthouse?", "exact", stream=True))
        await ask(Step(trial, "trial's second request", "What is an estuary?", "live"))
        await ask(Step(trial, "trial's third and last", "What is a fjord?", "live"))
        refused = await ask(Step(trial, "trial's budget is exhausted", "What is a delta?", "refused (429)"))
        await ask(Step(trial, "… and a hit is still served", "What is a fjord?", "exact"))
        change = await self.edit(manifests / "policy.yaml", "debug, explain]", "debug, explain, prove]")
        proof = "Prove that the square root of two is irrational."
        await ask(Step(acme, "the policy now finds “prove” hard", proof, "live"))
        # Too little is left for the first words of the rich model, but enough for an answer of the cheap one's.
        spent = (await self.metrics())["ai_cost_per_tenant", ("tenant", acme)]
        await self.edit(manifests / "tenants.yaml", '"25.00"', f'"{spent + 0.0001:.6f}"')
        await ask(Step(acme, "acme has $0.0001 left", "Explain why the sky is blue.", "degraded"))
        self._console.print()
        self._console.print(self.table())
        self._console.print(f"Policy edited while serving: revision {change}.")
        self._console.print(
            f"The refusal read: “{refused.answer}” (retry-after: {refused.headers.get('retry-after')} s)"
        )

    def table(self) -> Table:
        table = Table(title="What happened", title_justify="left")
        for column in ("", "Tenant", "Request", "Source", "Model", "Why"):
            table.add_column(column)
        for column in ("Similarity", "Cost USD", "Saved USD", "ms"):
            table.add_column(column, justify="right")
        for number, (result, cost, saved) in enumerate(self._results, 1):
            headers = result.headers
            reasons = [headers.get(f"x-tollway-{name}-reason", "") for name in ("cache", "route")]
            if fallbacks := headers.get("x-tollway-fallbacks"):
                reasons.append(f"{fallbacks} fallback")
            table.add_row(
                str(number),
                result.step.tenant,
                f"{result.step.what}: {_short(result.step.prompt)}",
                headers.get("x-tollway-source") or f"[red]refused {result.status}[/]",
                headers.get("x-tollway-model", ""),
                ", ".join(filter(None, reasons)),
                headers.get("x-tollway-similarity", ""),
                f"{cost:.7f}" if cost else "0",
                f"{saved:.7f}" if saved else "",
                f"{result.latency_ms:.1f}",
            )
        return table

    async def totals(self) -> None:
        values = await self.metrics()
        sources = ("exact", "semantic", "live")
        counts = {s: values.get(("ai_request_duration_seconds_count", ("source", s)), 0) for s in sources}
        spent = sum(values.get(("ai_cost_per_tenant", ("tenant", tenant)), 0) for tenant in KEYS)
        saved = sum(values.get(("ai_cost_saved_usd_total", ("tenant", tenant)), 0) for tenant in KEYS)
        ratio = values.get(("ai_cache_hit_ratio", ("", "")), 0)
        fallbacks = values.get(("ai_fallback_count_total", ("from", "cheap")), 0)
        print(
            f"Totals from the metrics: {counts['exact']:.0f} exact and {counts['semantic']:.0f} semantic hits, "
            f"{counts['live']:.0f} live; hit ratio {ratio:.2f}; {fallbacks:.0f} fallback; "
            f"spent ${spent:.6f}, saved ${saved:.6f}."
        )


def _replace(manifest: Path, old: str, new: str) -> None:
    manifest.write_text(manifest.read_text().replace(old, new))


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1_000


def _short(text: str, limit: int = 34) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _port(wanted: int) -> int:
    """The wanted port, or a free one when it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise RuntimeError("no free port on 127.0.0.1")


def _prepare(ports: dict[str, int]) -> Path:
    """A fresh copy of the manifests, because the demo edits them, and an empty cache."""
    shutil.rmtree(WORK, ignore_errors=True)
    manifests = WORK / "manifests"
    manifests.mkdir(parents=True)
    for file in EXAMPLES.glob("*.yaml"):
        text = (
            file.read_text().replace(":9101/", f":{ports['cheap']}/").replace(":9102/", f":{ports['rich']}/")
        )
        (manifests / file.name).write_text(text)
    return manifests


@contextlib.contextmanager
def _started(name: str, *arguments: str) -> Iterator[None]:
    """A `tollway` process, ended with us; what it prints goes to a file."""
    with (WORK / f"{name}.log").open("w") as log:
        command = [sys.executable, "-m", "tollway_cli", *arguments]
        process = subprocess.Popen(  # noqa: S603 - our own
            command, stdout=log, stderr=log, start_new_session=True, env=_environment()
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def _environment() -> dict[str, str]:
    """Without keys that would take the place of the examples' own."""
    return {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}


async def _until_ready(url: str, http: aiohttp.ClientSession) -> None:
    for _ in range(600):
        with contextlib.suppress(aiohttp.ClientError):
            async with http.get(url) as reply:
                if reply.status == 200:
                    return
        await asyncio.sleep(0.1)
    raise RuntimeError(f"{url} is not ready after a minute; see the logs in {WORK}")


async def run(console: Console, *, leave: bool) -> None:
    ports = {"cheap": _port(9101), "rich": _port(9102), "public": _port(8080), "admin": _port(8081)}
    manifests = _prepare(ports)
    at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    pace = ("--latency", "lognormal:150ms,0.3", "--tokens-per-second", "400", "--seed", "7")
    serve = ("serve", "--manifests", str(manifests), "--data-dir", str(WORK / "data"))
    console.print("Starting two simulated providers, two Redis, and Tollway over examples/ …")
    with contextlib.ExitStack() as stack:
        for name in ("cheap", "rich"):
            stack.enter_context(_started(name, "simulate", "--listen", at[name], "--name", name, *pace))
        stack.enter_context(
            _started("serve", *serve, "--listen", at["public"], "--admin-listen", at["admin"])
        )
        async with aiohttp.ClientSession() as http:
            for name in ("cheap", "rich"):
                await _until_ready(f"http://{at[name]}/healthz", http)
            await _until_ready(f"http://{at['admin']}/readyz", http)
            demo = Demo(console, ports, http)
            await demo.walk(manifests)
            await demo.totals()
            _next_steps(console, at, manifests)
            if not leave:
                console.print("\nTollway goes on serving; Ctrl-C stops.")
                await asyncio.Event().wait()
    console.print("Stopped; nothing is left running.")


def _next_steps(console: Console, at: dict[str, str], manifests: Path) -> None:
    curl = (
        f"  curl http://{at['public']}/chat -H 'Authorization: Bearer {KEYS['acme']}' "
        """-H 'content-type: application/json' -d '{"prompt": "How do I reset my password?"}'"""
    )
    console.print("\nWhere to look next:", highlight=False)
    console.print(curl, soft_wrap=True, highlight=False)
    console.print(f"  metrics   http://{at['admin']}/metrics", highlight=False)
    token = WORK / "data" / "admin-token" / "token"
    console.print(f"  console   http://{at['admin']}/console (password: what {token} has)", highlight=False)
    console.print(f"  requests  {WORK}/data/requests.log", highlight=False)
    console.print(f"  manifests {manifests}/ (edit one: it takes effect at once)", highlight=False)


async def _until_signalled(work: Coroutine[object, object, None]) -> None:
    """Whatever ends us, also a closed terminal, ends what we started first."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exit", action="store_true", help="stop when the walk-through is over")
    arguments = parser.parse_args()
    # Wide enough for the table when the output is a file.
    console = Console() if sys.stdout.isatty() else Console(width=190)
    WORK.parent.mkdir(exist_ok=True)
    with (WORK.parent / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("another demo runs in this checkout; stop that one first")
        with contextlib.suppress(asyncio.CancelledError):
            try:
                asyncio.run(_until_signalled(run(console, leave=arguments.exit)))
            except (DemoError, RuntimeError) as error:
                sys.exit(f"The demo failed: {error}\nSee the logs in {WORK}/")


if __name__ == "__main__":
    main()
