"""What `tollway serve` says when it is ready: what runs, and a line that works when pasted."""

from pathlib import Path

from rich.table import Table
from rich.text import Text

from tollway_api.snapshot import Limit, Policy, Rolling
from tollway_api.tenant_budget import Unit
from tollway_dataplane.core.pricing import as_usd
from tollway_dataplane.settings import Address
from tollway_operator.gather_files import Gathered


def introduction(gathered: Gathered, public: Address, admin: Address, redis: str) -> Table:
    snapshot = gathered.snapshot
    table = Table(title="Tollway serves", title_justify="left", show_header=False)
    table.add_row("requests", f"http://{public}/v1")
    table.add_row("admin", f"http://{admin}/console  /readyz  /metrics  /purge")
    table.add_row("redis", Text(redis))
    for policy in snapshot.policies:
        table.add_row("policy", Text(_policy(policy)))
    for tenant in snapshot.tenants.values():
        limits = ", ".join(map(_limit, tenant.limits)) or "no limits"
        table.add_row("tenant", Text(f"{tenant.name}: {limits}"))
    covered = snapshot.covered()
    for budget in snapshot.shared.values():
        limits = ", ".join(map(_limit, budget.limits))
        table.add_row("shared", Text(f"{budget.id}: {limits}; by {covered.get(budget.id, 0)} tenants"))
    return table


def curl_line(gathered: Gathered, public: Address, data_dir: Path) -> Text:
    """A key itself is never printed: a reference to the environment is read by the shell as it was by us, and a key
    that stands in a file is put into a private one that curl reads.
    """
    tenants = list(gathered.snapshot.tenants)
    referred = [gathered.key_references[name] for name in tenants if name in gathered.key_references]
    literal = [gathered.literal_keys[name] for name in tenants if name in gathered.literal_keys]
    if referred:
        header = f'"Authorization: Bearer {referred[0]}"'
    elif literal:
        file = data_dir / "authorization"
        file.touch(mode=0o600)
        file.write_text(f"Authorization: Bearer {literal[0]}\n", encoding="utf-8")
        header = f"@{file}"
    else:
        header = '"Authorization: Bearer $KEY"'
    prompt = """'{"prompt": "How do I reset my password?"}'"""
    return Text(
        f"Try it:\n  curl http://{public}/chat -H {header} -H 'content-type: application/json' -d {prompt}"
        + ("" if referred or literal else "\n  where KEY is the key whose digest a Secret holds")
    )


def _policy(policy: Policy) -> str:
    models = [
        f"{model.name} ({model.upstream_id}{f' at {model.endpoint}' if model.endpoint else ''})"
        for model in policy.models.values()
    ]
    cache = f"cache {policy.cache.index}" if policy.cache else "no cache"
    route = f"easy → {policy.route.simple}, hard → {policy.route.complex}"
    return f"{policy.id}: {', '.join(models)}; {route}; {cache}"


def _limit(limit: Limit) -> str:
    amount = as_usd(limit.amount) if limit.unit is Unit.USD else str(limit.amount)
    window = limit.window
    if isinstance(window, Rolling):
        return f"{amount} {limit.unit} in {window.milliseconds // 1_000}s"
    return f"{amount} {limit.unit} a {window.period.lower()} ({window.time_zone})"
