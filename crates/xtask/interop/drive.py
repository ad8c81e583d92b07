"""Drives the deployments of config/sentinel with a real Zentinel. Started by `cargo xtask interop`,
with ZENTINEL and WSI_BINARY set and the end-to-end tests' `support` in PYTHONPATH."""

import argparse
import signal
import sys
from pathlib import Path

import agent
import inline
import restart
from transcript import Transcript

RUN_MAX_S = 600

DEPLOYMENTS = {"agent": agent.run, "inline": inline.run, "restart": restart.run}


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("deployments", nargs="+", choices=DEPLOYMENTS)
    options = arguments.parse_args()
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(RUN_MAX_S)
    transcript = Transcript()
    for deployment in options.deployments:
        print(f"\n{deployment}", flush=True)
        DEPLOYMENTS[deployment](options.folder / deployment, transcript)
    print(f"\n{transcript.count} scenarios, {transcript.differences} not as expected; logs are in {options.folder}")
    return 1 if transcript.differences else 0


def too_long(*_) -> None:
    raise SystemExit(f"not finished after {RUN_MAX_S} s")


if __name__ == "__main__":
    sys.exit(main())
