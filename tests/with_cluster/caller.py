"""What callers do, with the official client: run inside the cluster, in a pod of its own, and printing JSON.

caller.py ask URL KEY MODEL PROMPT         one answer and its headers
caller.py stream URL KEY MODEL PROMPT MOST a stream of so many tokens at most; begun, and then what it was, or its end
caller.py load URL KEY                     four callers until standard input ends; begun, and then what was seen
"""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import openai

BEGAN = {"began": True}
_CALLERS = 4


def client(url: str, key: str) -> openai.AsyncOpenAI:
    # Without retries: nothing of what goes wrong may be hidden.
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=60)


def told(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("x-tollway-")}


async def ask(url: str, key: str, model: str, prompt: str) -> None:
    messages: Any = [{"role": "user", "content": prompt}]
    async with client(url, key) as caller:
        try:
            raw = await caller.chat.completions.with_raw_response.create(model=model, messages=messages)
        except openai.APIStatusError as error:
            print(json.dumps({"status": error.status_code, "body": error.body}))
            return
    content = raw.parse().choices[0].message.content
    print(json.dumps({"status": 200, "content": content, **told(raw.headers)}))


async def stream(url: str, key: str, model: str, prompt: str, most: str) -> None:
    messages: Any = [{"role": "user", "content": prompt}]
    began = time.monotonic()
    text = finish = ""
    async with client(url, key) as caller:
        chunks = await caller.chat.completions.create(
            model=model, messages=messages, stream=True, max_tokens=int(most)
        )
        print(json.dumps(BEGAN), flush=True)
        try:
            async for chunk in chunks:
                for choice in chunk.choices:
                    text += choice.delta.content or ""
                    finish = choice.finish_reason or finish
        except (openai.OpenAIError, httpx.HTTPError) as error:
            print(json.dumps({"failed": f"{type(error).__name__}: {error}"}), flush=True)
            return
    print(json.dumps({"content": text, "finish": finish, "seconds": time.monotonic() - began}), flush=True)


async def load(url: str, key: str) -> None:
    stop = asyncio.Event()
    failed: list[str] = []
    revisions: set[str] = set()
    count = 0

    async def one(caller: openai.AsyncOpenAI, *, streams: bool) -> None:
        nonlocal count
        messages: Any = [{"role": "user", "content": f"What is {uuid.uuid4()}?"}]
        try:
            if streams:
                parts = await caller.chat.completions.create(model="cheap", messages=messages, stream=True)
                finished = [choice.finish_reason async for chunk in parts for choice in chunk.choices]
                if "stop" not in finished:
                    failed.append("a stream without an end")
            else:
                raw = await caller.chat.completions.with_raw_response.create(model="cheap", messages=messages)
                revisions.add(raw.headers["x-tollway-revision"])
        except openai.OpenAIError as error:
            failed.append(f"{time.strftime('%X')} {type(error).__name__}: {error} ({error.__cause__!r})")
        count += 1

    async def keep_calling(number: int) -> None:
        # Connections are opened anew, as by many callers, so that the Service decides where each goes.
        while not stop.is_set():
            async with client(url, key) as caller:
                for _ in range(5):
                    await one(caller, streams=number % 2 == 0)
                    await asyncio.sleep(0.02)

    async with client(url, key) as first:
        await one(first, streams=False)
    print(json.dumps(BEGAN), flush=True)
    async with asyncio.TaskGroup() as callers:
        for number in range(_CALLERS):
            callers.create_task(keep_calling(number))
        await asyncio.to_thread(sys.stdin.read)
        stop.set()
    print(json.dumps({"requests": count, "failed": failed, "revisions": sorted(revisions)}))


_VERBS: dict[str, Callable[..., Awaitable[None]]] = {"ask": ask, "stream": stream, "load": load}

if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    asyncio.run(_VERBS[verb](*arguments))  # type: ignore[arg-type]  # each takes its own
