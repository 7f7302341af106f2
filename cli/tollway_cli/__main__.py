"""The `tollway` command: one small function a verb, each of which parses, calls and prints. A user's mistake is one
sentence and a status, never a traceback. What a single verb needs it imports itself: to validate takes a third of what
loading a server, an encoder and two clients takes.
"""

import errno
import io
import os
import sys
from collections.abc import Coroutine
from dataclasses import replace
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer
import uvloop
from rich.console import Console

from tollway_api.environment import SettingsError, listed, settings_from
from tollway_api.reach import OWN_NETWORKS, Reach
from tollway_api.redis_url import check_ledger_url, check_redis_url
from tollway_cli.simulator.faults import FaultKind, parse_fault
from tollway_cli.simulator.latency import ACCEPTED, parse_latency
from tollway_cli.validate import findings_table, summary
from tollway_cli.validation_reports import as_github, as_json, as_junit
from tollway_dataplane.errors import TollwayError
from tollway_dataplane.settings import Address, EmbedServerSettings
from tollway_operator.errors import OperatorError
from tollway_operator.gather_files import gather

ReadT = TypeVar("ReadT")

app = typer.Typer(
    name="tollway",
    epilog="Start here:  tollway serve --manifests examples/",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

budget = typer.Typer(no_args_is_help=True, help="Show what tenants have spent, and when.")
app.add_typer(budget, name="budget")

Namespace = Annotated[
    str, typer.Option(help="The installation's own namespace: policies in it govern all tenants.")
]
_OWN_NETWORKS = ",".join(OWN_NETWORKS)
AllowEndpoints = Annotated[
    str,
    typer.Option(
        metavar="NETWORK|HOST,…",
        help="Where endpoints may be, beside on the internet. By default on this machine and in private networks.",
    ),
]
AddressOption = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")
]


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"


class Report(StrEnum):
    TABLE = "table"
    JSON = "json"
    JUNIT = "junit"
    GITHUB = "github"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tollway {metadata.version('tollway')}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """A traffic controller for LLM requests: semantic cache, routing, hard budgets and fallback, from three kinds of
    YAML objects.
    """


@app.command()
def serve(
    manifests: Annotated[list[Path], typer.Option(help="YAML files, or folders with all below them.")],
    more: Annotated[list[Path] | None, typer.Argument(metavar="[PATH]...", help="More manifests.")] = None,
    listen: AddressOption = "127.0.0.1:8080",
    admin_listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Probes and metrics; keep it private.")
    ] = "127.0.0.1:8081",
    redis: Annotated[
        str | None, typer.Option(help="URL of a Redis with vector search. Default: an embedded one.")
    ] = None,
    ledger_redis: Annotated[
        str | None, typer.Option(help="URL of the Redis that counts spending. Default: the one of --redis.")
    ] = None,
    data_dir: Annotated[
        Path, typer.Option(help="Where the embedded Redis keep their data and requests are logged.")
    ] = Path(".tollway"),
    installation_namespace: Namespace = "tollway-system",
    drain: Annotated[
        float, typer.Option(min=0, max=86_400, help="Seconds that requests under way may take at the end.")
    ] = 30.0,
    log: Annotated[
        str | None, typer.Option(metavar="FILE", help='Where requests are logged; "-" is standard output.')
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            min=1, help="Processes that share the port. Each wants a CPU, and memory as docs/sizing.md says."
        ),
    ] = 1,
    allow_endpoints: AllowEndpoints = _OWN_NETWORKS,
) -> None:
    """Serve LLM requests on this machine by the given manifests.

    Compiles RoutingPolicies, TenantBudgets, SemanticCacheIndexes and Secrets, starts an embedded Redis, and follows the
    files: a good change takes effect without a restart, a bad one is shown with file and line and changes nothing.
    In Secrets, ${NAME} and ${NAME:-default} stand for environment variables.
    """
    from tollway_cli.serve import ServeOptions, serve_standalone

    console = _console()
    paths = (*manifests, *(more or ()))
    if missing := [path for path in paths if not path.exists()]:
        _fail(f"--manifests {missing[0]}: no such file or folder")
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _fail(f"--data-dir {data_dir}: {error.strerror}")
    of_ledger = "--redis" if ledger_redis is None else "--ledger-redis"
    checks = (("--redis", redis, check_redis_url), (of_ledger, ledger_redis or redis, check_ledger_url))
    for option, url, check in checks:
        try:
            check(url or "redis://default")
        except ValueError as error:
            _fail(f"{option}: {error}")
    options = ServeOptions(
        manifests=paths,
        listen=_address("--listen", listen),
        admin_listen=_address("--admin-listen", admin_listen),
        redis_url=redis,
        ledger_redis_url=ledger_redis,
        data_dir=data_dir,
        installation_namespace=installation_namespace,
        drain_s=drain,
        log_file=None if log == "-" else Path(log or data_dir / "requests.log"),
        allow_endpoints=_opened(allow_endpoints),
        workers=workers,
    )
    _run(serve_standalone(options, os.environ, console))


@app.command()
def validate(
    paths: Annotated[list[Path], typer.Argument(help="YAML files, or folders with all below them.")],
    output: Annotated[
        Report, typer.Option(help="A table for people; JSON, JUnit XML or GitHub's annotations for programs.")
    ] = Report.TABLE,
    secrets_elsewhere: Annotated[
        bool,
        typer.Option(
            "--secrets-elsewhere", help="Take every Secret that is in no file to be in the cluster."
        ),
    ] = False,
    installation_namespace: Namespace = "tollway-system",
    allow_endpoints: AllowEndpoints = _OWN_NETWORKS,
) -> None:
    """Check manifests as the operator would, without serving.

    Exit status: 0 when every object is accepted, 1 when one has an error, 2 when a file cannot be read.
    """
    gathered = gather(
        paths,
        os.environ,
        installation_namespace,
        secrets_elsewhere=secrets_elsewhere,
        reach=Reach.of(_opened(allow_endpoints)),
    )
    match output:
        case Report.JSON:
            typer.echo(as_json(gathered))
        case Report.JUNIT:
            typer.echo(as_junit(gathered))
        case Report.GITHUB:
            if gathered.findings:
                typer.echo(as_github(gathered))
            typer.echo(summary(gathered))
        case Report.TABLE:
            console = _console()
            if gathered.findings:
                console.print(findings_table(gathered.findings))
            console.print(summary(gathered), highlight=False)
    raise typer.Exit(2 if gathered.broken else int(bool(gathered.errors)))


@budget.command()
def show(
    tenants: Annotated[
        list[str] | None, typer.Argument(metavar="[TENANT]...", help="Which. Default: all.")
    ] = None,
    redis_url: Annotated[
        str | None,
        typer.Option(help="URL of the ledger's Redis; then --manifests say which limits there are."),
    ] = None,
    manifests: Annotated[list[Path], typer.Option(help="YAML files, or folders with all below them.")] = [],  # noqa: B006 - typer reads the default and copies it
    namespace: Annotated[str, typer.Option(help="Of a cluster, which namespace; * is every one.")] = "*",
    output: Annotated[Output, typer.Option(help="A table for people, or JSON for programs.")] = Output.TABLE,
    installation_namespace: Namespace = "tollway-system",
) -> None:
    """Show what tenants have used of their limits, what is held and what remains.

    From the ledger where --redis-url is given, or from the statuses of the cluster that KUBECONFIG names.
    """
    from tollway_cli import budget as uses_of

    if (redis_url is None) != (not manifests):
        _fail("give --redis-url and --manifests together, or neither to read a cluster's statuses")
    if redis_url is None:
        reading = uses_of.uses_in_cluster(namespace)
    else:
        gathered = gather(manifests, os.environ, installation_namespace)
        reading = uses_of.uses_in_ledger(_redis_url(redis_url), gathered.snapshot)
    uses = [each for each in _read(reading) if not tenants or each.budget in tenants]
    if output is Output.JSON:
        typer.echo(uses_of.as_json(uses))
    elif uses:
        _console().print(uses_of.uses_table(uses))
    else:
        typer.echo("no limits of such tenants are known")


@budget.command()
def history(
    tenant: Annotated[str, typer.Argument(help="Whose.")],
    redis_url: Annotated[str, typer.Option(help="URL of the ledger's Redis.")],
) -> None:
    """Plot when a tenant used what it has used, limit by limit.

    As long ago as the ledger remembers: a window of a rolling limit, and the current one of a calendar's.
    """
    from tollway_cli.budget import histories, history_table, spent_in_ledger

    found = histories(_read(spent_in_ledger(_redis_url(redis_url), tenant)))
    if not found:
        typer.echo(f"the ledger knows of nothing that {tenant} has spent")
    console = _console()
    for (name, unit), slices in found.items():
        console.print(history_table(name, unit, slices))


@app.command()
def compare(
    one: Annotated[str, typer.Argument(help="A prompt, or the messages of a chat as a JSON list.")],
    other: Annotated[str, typer.Argument(help="Another one.")],
    threshold: Annotated[float, typer.Option(min=0, max=1, help="As match.threshold of an index.")] = 0.95,
    strict_threshold: Annotated[
        float, typer.Option(min=0, max=1, help="The same where there are numbers, amounts or dates.")
    ] = 0.98,
) -> None:
    """Say whether the answer to one prompt would be served for another, and why.

    Both are taken as prompts of one partition: the same tenant, policy, system prompt and parameters. Exit status: 0
    when it would be served, 1 when not.
    """
    from tollway_cli.compare import Match, comparison_table
    from tollway_cli.compare import compare as compare_prompts

    try:
        comparison = uvloop.run(compare_prompts(one, other, Match(threshold, strict_threshold)))
    except TollwayError as error:
        _fail(str(error))
    _console().print(comparison_table(comparison))
    raise typer.Exit(int(not comparison.verdict.serves))


@app.command()
def route(
    explain: Annotated[str, typer.Option(metavar="PROMPT", help="The prompt to choose a model for.")],
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", help="YAML files, or folders with all below them. Default: ."),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(metavar="NAMESPACE/NAME", help="Which. Default: the only one without an error."),
    ] = None,
    installation_namespace: Namespace = "tollway-system",
) -> None:
    """Say which model of a policy would answer a prompt, how likely the simple one is good enough, and what was seen.

    As of a request whose caller asks for auto, whose tenant prefers no model, and on which none is tried out; no model
    is asked. Exit status: 2 when there is no such policy, or it has an error.
    """
    from tollway_cli.route import explain as explain_route
    from tollway_cli.route import route_table

    gathered = gather(paths or [Path()], os.environ, installation_namespace)
    try:
        found = uvloop.run(explain_route(gathered.snapshot, policy, explain))
    except (TollwayError, LookupError) as error:
        _fail(str(error))
    _console().print(route_table(found))


@app.command("fit-router")
def fit_router(
    labels: Annotated[Path, typer.Argument(help="JSON Lines, as above.")],
    patch: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where to write the weights as a merge patch. Default: they are printed."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of what is held back and resampled. The same seed, the same weights.")
    ] = 0,
) -> None:
    """Fit the router to labels of your own traffic, and say what that is worth.

    Each line of LABELS is a prompt and how a simple and a complex model of yours have answered it, by people or by a
    model that you trust: {"prompt": "…", "simpleIsGoodEnough": true}, or with scores from 0 to 1
    {"prompt": "…", "simple": 0.7, "complex": 0.9}. At least 50, as they come in your traffic; some 300 tell something.
    Nothing leaves this machine.

    What is learned corrects the shipped model, and as little as the labels demand. All figures are of prompts that
    were not learned from (five folds, prompts of one template in the same). The dial's curve travels with the weights:
    with them quality: "95%" speaks of your prompts.

    Put the weights into route.complexity.weights of the policy, or
    kubectl patch routingpolicy NAME --type merge --patch-file FILE.

    Exit status: 0 with weights; 1 where they are no better than prompt length, and none are written; 2 when the labels
    cannot be used.
    """
    from tollway_cli.fit_router import as_patch, fitted, report
    from tollway_cli.labels import LabelError

    console = _console()
    try:
        found = uvloop.run(fitted(labels, seed, console))
    except (TollwayError, LabelError) as error:
        _fail(str(error))
    report(found, seed, console)
    if not found.is_better:
        raise typer.Exit(1)
    if patch is None:
        typer.echo(as_patch(found), nl=False)
        return
    try:
        patch.write_text(as_patch(found), encoding="utf-8")
    except OSError as error:
        _fail(f"--patch {patch}: {error.strerror}")
    typer.echo(f"wrote {patch}")


@app.command("embed-server")
def embed_server(
    listen: AddressOption = "127.0.0.1:8090",
    admin_listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Probes and metrics; keep it private.")
    ] = "127.0.0.1:8091",
    threads: Annotated[
        int, typer.Option(min=1, help="Threads that share the work on a batch; about as many as CPUs.")
    ] = 1,
    most_waiting_texts: Annotated[
        int,
        typer.Option(min=1, help="Texts that may wait, over all requests; what would be more gets a 429."),
    ] = 2_048,
    deadline: Annotated[
        float, typer.Option(min=0.01, help="Seconds in which a request's texts must be embedded.")
    ] = 30.0,
    drain: Annotated[
        float, typer.Option(min=0, max=86_400, help="Seconds that requests under way may take at the end.")
    ] = 30.0,
) -> None:
    """Serve vectors of the cache's own model (all-MiniLM-L6-v2) in OpenAI's shape.

    POST /v1/embeddings takes a text or a list of texts, encoding_format float or base64, and makes one batch of what
    many callers ask at a time. Texts of more than 256 tokens are read up to there. A SemanticCacheIndex uses it, as
    any other such service, by embedding: {provider: OpenAICompatible, model: all-MiniLM-L6-v2, dimensions: 384,
    endpoint: http://HOST:PORT/v1}; docs/embedding-service.md says when that is worth it.

    Who may call is told by the environment: TOLLWAY_API_KEYS has the keys, with commas between them, or sha256:HEX of
    each; without, anybody may. In a cluster the chart runs the same: embedding.enabled=true.
    """
    from tollway_dataplane.embed_server import run as run_embed_server

    try:
        told = settings_from(os.environ, EmbedServerSettings)
    except SettingsError as error:
        _fail(str(error))
    settings = replace(
        told,
        listen=_address("--listen", listen),
        admin_listen=_address("--admin-listen", admin_listen),
        threads=threads,
        most_waiting_texts=most_waiting_texts,
        deadline_s=deadline,
        drain_s=drain,
    )
    _run(run_embed_server(settings))


@app.command()
def simulate(
    listen: AddressOption = "127.0.0.1:9101",
    name: Annotated[
        str, typer.Option(help="Stands in every answer, so that one can tell whose it is.")
    ] = "simulator",
    latency: Annotated[str, typer.Option(help=f"Time to the first byte: {ACCEPTED}.")] = "none",
    tokens_per_second: Annotated[
        float, typer.Option(min=0, help="Pace of the answer; 0 is all at once.")
    ] = 0.0,
    fault: Annotated[
        list[str],
        typer.Option(
            metavar="KIND[:PROBABILITY[:MODEL]]",
            help=f"May be given again. Kinds: {', '.join(FaultKind)}.",
        ),
    ] = [],  # noqa: B006 - typer reads the default and copies it
    context_window: Annotated[
        int | None, typer.Option(min=1, help="Prompts of more tokens get the context-length error.")
    ] = None,
    require_key: Annotated[str | None, typer.Option(help="Refuse every other API key.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same latencies and faults.")] = 0,
) -> None:
    """Serve a simulated provider, OpenAI-shaped and Anthropic-shaped.

    Faults can be changed at run time: PUT /control/faults {"faults": [{"kind": "server-error", "probability": 1}]},
    or for one request by the header x-simulate-fault. GET /control/requests tells what it saw and would bill.
    """
    from tollway_cli.simulate import simulate as simulate_provider
    from tollway_cli.simulator.app import SimulatorSettings

    try:
        settings = SimulatorSettings(
            name=name,
            seed=seed,
            latency=parse_latency(latency),
            tokens_per_second=tokens_per_second,
            faults=tuple(map(parse_fault, fault)),
            context_window=context_window,
            require_key=require_key,
        )
    except ValueError as error:
        _fail(str(error))
    _run(simulate_provider(settings, _address("--listen", listen), _console()))


def _console() -> Console:
    """As wide as the terminal; wide enough for whole paths where the output is a file or a pipe."""
    return Console() if sys.stdout.isatty() or "COLUMNS" in os.environ else Console(width=200)


def _run(work: Coroutine[object, object, int | None]) -> None:
    try:
        status = uvloop.run(work)
    except _mistakes() as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    if status:
        sys.exit(status)


def _read(work: Coroutine[object, object, ReadT]) -> ReadT:
    try:
        return uvloop.run(work)
    except _mistakes() as error:
        _fail(str(error))


def _mistakes() -> tuple[type[Exception], ...]:
    """Of users, for which there is a sentence."""
    from tollway_cli.embedded_redis import EmbeddedRedisError
    from tollway_cli.folder_lock import FolderInUse
    from tollway_cli.serve import ServeError
    from tollway_dataplane.server import ListenError

    return ServeError, EmbeddedRedisError, FolderInUse, ListenError, OperatorError, TollwayError


def _redis_url(url: str) -> str:
    try:
        return check_ledger_url(url)
    except ValueError as error:
        _fail(f"--redis-url: {error}")


def _opened(text: str) -> tuple[str, ...]:
    opened = listed(text)
    try:
        Reach.of(opened)
    except ValueError as error:
        _fail(f"--allow-endpoints: {error}")
    return opened


def _address(option: str, text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        _fail(f"{option}: {error}")


def _fail(message: str) -> NoReturn:
    typer.echo(f"tollway: {message}", err=True)
    sys.exit(2)


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names may hold what no encoding has
    try:
        app()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        # Python would try to write the rest once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail(f"{error.filename or 'standard output'} cannot be written: {error.strerror}")


if __name__ == "__main__":
    main()
