"""The admin server: health, readiness, and counters that follow the traffic."""

import time

import pytest

from support.inspector import agent_block
from support.peers import open_pair

POLICY = agent_block('content-filter { block-patterns "/eval\\\\(/" }')


@pytest.fixture
def inspector(start, backend):
    return start(backend.port, POLICY)


def total(samples: dict[str, float], *words: str) -> float:
    """The sum of all samples whose name or labels have every word."""
    return sum(value for key, value in samples.items() if all(word in key.lower() for word in words))


def wait_for(condition, timeout: float = 5) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_running_inspector_is_well(inspector, path):
    assert inspector.get(path)[0] == 200


def test_an_unknown_path_is_404(inspector):
    assert inspector.get("/nothing-here")[0] == 404


def test_every_metric_has_a_help_text_and_a_type(inspector):
    _, text = inspector.get("/metrics")
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    helped = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP ")}
    names = {key.partition("{")[0] for key in inspector.metrics()}
    assert families and families == helped
    suffixes = ("_bucket", "_sum", "_count")
    orphans = {n for n in names if n not in families and not any(n.removesuffix(s) in families for s in suffixes)}
    assert orphans == set()


def test_the_message_counter_follows_the_messages(inspector, backend):
    before = total(inspector.metrics(), "messages_total")
    pair = open_pair(inspector, backend)
    pair.client.queue(pair.client.framer.text("hello") * 10)
    pair.server.queue(pair.server.framer.text("hello") * 7)
    pair.exchange(until=lambda: len(pair.server.heard.messages) == 10 and len(pair.client.heard.messages) == 7)
    assert wait_for(lambda: total(inspector.metrics(), "messages_total") - before == 17), inspector.metrics()
    pair.close()


def test_the_verdict_counter_follows_the_verdicts(inspector, backend):
    before = total(inspector.metrics(), "verdict")
    pair = open_pair(inspector, backend)
    pair.client.queue(pair.client.framer.text("eval(1)"))
    assert pair.exchange()
    assert wait_for(lambda: total(inspector.metrics(), "verdict") > before), inspector.metrics()
    pair.close()


def test_the_gauge_of_open_connections_rises_and_falls(inspector, backend):
    def gauges():
        samples = inspector.metrics()
        return {k: v for k, v in samples.items() if "connections" in k or "sessions" in k}

    before = gauges()
    pairs = [open_pair(inspector, backend) for _ in range(3)]
    assert wait_for(lambda: any(v - before.get(k, 0) == 3 for k, v in gauges().items())), gauges()
    risen = {k for k, v in gauges().items() if v - before.get(k, 0) == 3}
    for pair in pairs:
        pair.client.queue(pair.client.framer.close(1000))
        pair.client.answers_close = False
        assert pair.exchange()
        pair.close()
    assert wait_for(lambda: any(gauges()[k] == before.get(k, 0) for k in risen)), gauges()


def test_the_metrics_name_no_path_of_a_client(inspector, backend):
    pair = open_pair(inspector, backend, path="/room-4711?token=S3CRET")
    _, text = inspector.get("/metrics")
    assert "S3CRET" not in text and "4711" not in text
    pair.close()
