"""`tollway-operator`: reconciles the three kinds in a cluster."""

import argparse
import asyncio
import os
import sys

from tollway_api.environment import SettingsError, described, settings_from
from tollway_operator.app import run_operator
from tollway_operator.errors import OperatorError
from tollway_operator.logs import log_in_json
from tollway_operator.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="tollway-operator",
        description="Watches RoutingPolicies, TenantBudgets and SemanticCacheIndexes, compiles them into one snapshot, "
        "provisions index versions in Redis, gets the snapshot to every data-plane pod, and says in each status "
        "which pods run it.\nSettings, from the environment:\n" + described(Settings),
        epilog="It finds the cluster by KUBECONFIG, or by the pod it runs in. Of several replicas one leads.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    log_in_json()
    try:
        asyncio.run(run_operator(settings_from(os.environ, Settings)))
    except (SettingsError, OperatorError) as error:
        sys.exit(f"tollway-operator: {error}")


if __name__ == "__main__":
    main()
