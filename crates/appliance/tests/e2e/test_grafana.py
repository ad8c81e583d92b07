"""The dashboard and the alert rules ask for metrics that there are."""

import json
import re
from pathlib import Path

import pytest

from support.inspector import agent_block

GRAFANA = Path(__file__).parents[4] / "config/grafana"


def expressions(file: str) -> list[str]:
    text = (GRAFANA / file).read_text()
    if file.endswith(".json"):
        panels = json.loads(text)["panels"]
        return [target["expr"] for panel in panels for target in panel.get("targets", [])]
    # Names stand in expressions and nowhere else with these brackets; there is no YAML in the standard library.
    return [line for line in text.splitlines() if re.search(r"wsi_\w+[\[{]", line)]


@pytest.mark.parametrize("file", ["dashboard.json", "alerts.yml"])
def test_every_metric_and_label_is_told(start, backend, file):
    inspector = start(backend.port, agent_block('content-filter { block-patterns "forbidden" }'))
    text = inspector.get("/metrics")[1]
    text = text if isinstance(text, str) else text.decode()
    told = {}
    for name, labels in re.findall(r"^(wsi_\w+)(?:\{(.*)\})? ", text, re.MULTILINE):
        told.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    found = expressions(file)
    assert len(found) > 8
    for expression in found:
        for name, matchers in re.findall(r"(wsi_\w+)(?:\{([^}]*)\})?", expression):
            assert name in told, f"{file}: {name}"
            labels = set(re.findall(r"(\w+)[=!]", matchers)) - {"job", "instance"}
            assert labels <= told[name], f"{file}: {name} has no {labels - told[name]}"
