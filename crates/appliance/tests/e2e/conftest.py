"""Fixtures. Each test gets an inspector with a policy of its own choice and a backend of its own."""

import pytest

from support.inspector import DIRECT, Inspector, NoInspector
from support.peers import RawBackend


def pytest_collection_modifyitems(items):
    if DIRECT:
        for item in items:
            if not item.get_closest_marker("direct"):
                item.add_marker(pytest.mark.skip(reason="WSI_DIRECT=1: this one needs the inspector"))


def _starter(tmp_path_factory):
    running = []

    def start(upstream_port: int, agent: str | None = None, **settings):
        if DIRECT:
            return NoInspector(upstream_port)
        running.append(Inspector(tmp_path_factory.mktemp("inspector"), upstream_port, agent, **settings))
        return running[-1]

    yield start
    for inspector in running:
        inspector.stop()
    # Shown by pytest beside a failing test only.
    for inspector in running:
        print(f"--- log of the inspector on port {inspector.port}\n{inspector.log[-4000:]}")
    for inspector in running:
        assert "panicked" not in inspector.log, "the inspector panicked:\n" + inspector.log[-4000:]


@pytest.fixture
def start(tmp_path_factory):
    """start(upstream_port, agent, **settings) -> a running inspector, ended with the test."""
    yield from _starter(tmp_path_factory)


@pytest.fixture(scope="module")
def start_once(tmp_path_factory):
    """As `start`, for an inspector that serves all tests of a file."""
    yield from _starter(tmp_path_factory)


@pytest.fixture
def backend():
    backend = RawBackend()
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def shared_backend():
    backend = RawBackend()
    yield backend
    backend.close()
