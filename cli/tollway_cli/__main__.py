"""The `tollway` command: one small function a verb, each of which parses, calls and prints."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from tollway_cli.serve import ServeError, ServeOptions, serve
from tollway_cli.simulator.app import SimulatorSettings
from tollway_cli.simulator.faults import parse_fault
from tollway_cli.simulator.latency import parse_latency
from tollway_cli.simulate import simulate
from tollway_cli.validate import as_json, as_table, validate
from tollway_dataplane.server import ListenError
from tollway_dataplane.settings import Address

app = typer.Typer(
    name="tollway",
    help="A traffic controller for LLM requests: verified semantic cache, routing, hard budgets, fallback.",
    epilog="Start here: tollway serve --manifests examples/",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
