"""Audit files: lines that vouch for each other, and files that are set aside."""

import json

import pytest

from support.inspector import agent_block, run_binary
from support.peers import open_pair


def audited(start, backend, audit: str):
    return start(backend.port, agent_block('content-filter { block-patterns "forbidden" }'), audit=audit)


def talk(inspector, backend, count: int = 3) -> None:
    for _ in range(count):
        pair = open_pair(inspector, backend)
        pair.client.queue(pair.client.framer.text("forbidden"))
        assert pair.exchange()
        inspector.records_of(pair.client.local_address)
        pair.close()


def test_a_chain_is_whole_and_goes_on_after_a_restart(start, backend):
    inspector = audited(start, backend, "chain true")
    talk(inspector, backend)
    assert inspector.stop() == 0
    lines = inspector.audit_path.read_text().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))
    notes = inspector.audit_path.with_name("audit.jsonl.checkpoints").read_text().split()
    assert notes == [str(len(lines)), json.loads(lines[-1])["chain"]]
    inspector._launch()
    talk(inspector, backend, 1)
    assert inspector.stop() == 0
    done = run_binary("audit", "verify", str(inspector.audit_path))
    total = len(inspector.audit_path.read_text().splitlines())
    assert done.returncode == 0 and f"record {total}" in done.stdout and total > len(lines)


@pytest.mark.parametrize("fault", ["changed", "removed", "doubled", "cut"])
def test_what_was_done_to_it_is_found(start, backend, tmp_path, fault):
    inspector = audited(start, backend, "chain true")
    talk(inspector, backend, 2)
    inspector.stop()
    lines = inspector.audit_path.read_text().splitlines(keepends=True)
    at = len(lines) // 2
    if fault == "changed":
        lines[at] = lines[at].replace("127.0.0.1", "127.0.0.2", 1)
    elif fault == "removed":
        del lines[at]
    elif fault == "doubled":
        lines.insert(at, lines[at])
    else:
        lines[-1] = lines[-1][:-5]
    path = tmp_path / "tampered.jsonl"
    path.write_text("".join(lines))
    done = run_binary("audit", "verify", str(path))
    assert done.returncode == 1
    line = len(lines) if fault == "cut" else at + 1 + (fault == "doubled")
    assert f"line {line}:" in done.stdout


def test_without_a_chain_there_is_nothing_to_verify(start, backend):
    inspector = audited(start, backend, "")
    talk(inspector, backend, 1)
    inspector.stop()
    done = run_binary("audit", "verify", str(inspector.audit_path))
    assert done.returncode == 1 and "`chain`" in done.stdout


def test_large_files_are_set_aside_compressed_and_the_chain_goes_through_them(start, backend):
    inspector = audited(start, backend, 'chain true; rotate-size "1MiB"; compress true; keep 5')
    pair = open_pair(inspector, backend)
    sent = 0
    while not list(inspector.folder.glob("audit.jsonl.2*.gz")) and sent < 40_000:
        pair.client.queue(pair.client.framer.text("fine") * 500)
        sent += 500
        pair.exchange(until=lambda: len(pair.server.heard.messages) >= sent)
    aside = sorted(inspector.folder.glob("audit.jsonl.2*"))
    assert aside, f"nothing was set aside after {sent} messages"
    pair.close()
    inspector.stop()
    aside = sorted(inspector.folder.glob("audit.jsonl.2*"))
    done = run_binary("audit", "verify", *map(str, aside), str(inspector.audit_path))
    assert done.returncode == 0, done.stdout
    # The wrong order is no chain.
    assert run_binary("audit", "verify", str(inspector.audit_path), *map(str, aside)).returncode == 1
