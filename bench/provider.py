"""A provider that is never the bottleneck: nginx, which answers everything with one completion, at once."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import loopback
from tests.processes import free_port, wait_for

REPLY = {
    "id": "bench", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 180}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 180, "completion_tokens": 180, "total_tokens": 360},
}  # fmt: skip


@contextmanager
def fake_provider(folder: Path) -> Iterator[str]:
    """Its base URL, with `/v1`."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n"
        "events { worker_connections 2048; }\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n"
        f"  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"  server {{ listen 127.0.0.1:{port}; keepalive_requests 100000000;\n"
        f"    location / {{ default_type application/json; return 200 '{json.dumps(REPLY)}'; }} }} }}\n",
        encoding="utf-8",
    )
    nginx = subprocess.Popen([str(shutil.which("nginx")), "-c", str(config), "-p", str(folder)])
    try:
        url = f"http://127.0.0.1:{port}/v1"
        wait_for(lambda: loopback.post(f"{url}/chat/completions").status_code == 200, "nginx answers")
        yield url
    finally:
        nginx.terminate()
        nginx.wait()
