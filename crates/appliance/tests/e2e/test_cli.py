"""The command line: check, doctor, version and help, on right and wrong configurations."""

import json
import re
import socket
from pathlib import Path

import pytest

from support.inspector import free_port, run_binary

HERE = Path(__file__).parent

# As published. The repository keeps the same text as config/preview.kdl.
PREVIEW = """\
agent "websocket-inspector" {
    type "websocket_inspector"
    transport "unix_socket" {
        path "/var/run/sentinel/ws-inspector.sock"
    }
    events ["ws_handshake" "ws_message" "ws_close"]
    timeout-ms 50
    failure-mode "open"
    // Message validation
    validation {
        schema-type "json"
        schema-path "/etc/sentinel/ws-schema.json"
        reject-invalid true
    }
    // Rate limiting per connection
    rate-limit {
        messages-per-second 100
        burst 200
    }
    // Content filtering
    content-filter {
        block-patterns ["/exec\\\\(/" "/eval\\\\(/"]
        max-message-size 65536
    }
}
"""

INLINE = """\
listener "edge" {
    bind "127.0.0.1:8080"
    route "/*" upstream="backend" agent="websocket-inspector"
}
upstream "backend" {
    server "127.0.0.1:9001"
}
agent "websocket-inspector" {
    type "websocket_inspector"
    events "ws_close"
    rate-limit {
        messages-per-second 100
        burst 200
    }
    content-filter {
        block-patterns "/eval\\\\(/"
        max-message-size "64KiB"
    }
}
"""


@pytest.fixture
def check(tmp_path):
    """check(text) -> the finished `check -c` of a file with that text, its output joined."""

    def run(text: str, name: str = "policy.kdl"):
        path = tmp_path / name
        path.write_text(text)
        done = run_binary("check", "-c", str(path), cwd=tmp_path)
        done.said = unstyled(done.stdout + done.stderr)
        assert "panicked" not in done.said
        return done

    return run


def unstyled(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def place_of(text: str, piece: str) -> tuple[int, int]:
    """Line and column, both from 1, of the only occurrence of `piece`."""
    assert text.count(piece) == 1
    before = text[: text.index(piece)]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def test_the_published_preview_names_its_missing_schema(check):
    if Path("/etc/sentinel/ws-schema.json").exists():
        pytest.skip("this machine has the schema of the preview")
    done = check(PREVIEW)
    assert done.returncode == 1
    assert "/etc/sentinel/ws-schema.json" in done.said
    assert f"policy.kdl:{place_of(PREVIEW, 'schema-path')[0]}:" in done.said


def test_the_published_preview_is_valid_with_its_schema_present(check, tmp_path):
    schema = tmp_path / "ws-schema.json"
    schema.write_text(json.dumps({"type": "object"}))
    done = check(PREVIEW.replace("/etc/sentinel/ws-schema.json", str(schema)))
    assert done.returncode == 0, done.said


def test_the_repository_keeps_the_preview_as_published():
    root = next(folder for folder in HERE.parents if (folder / "Cargo.lock").exists())
    kept = (root / "config" / "preview.kdl").read_text()
    assert PREVIEW.strip() in kept


def test_a_schema_path_is_relative_to_the_file(check, tmp_path):
    (tmp_path / "schema.json").write_text("{}")
    done = check(PREVIEW.replace("/etc/sentinel/ws-schema.json", "schema.json"))
    assert done.returncode == 0, done.said


def test_a_schema_that_is_no_json_is_an_error(check, tmp_path):
    (tmp_path / "schema.json").write_text("{ not json")
    done = check(PREVIEW.replace("/etc/sentinel/ws-schema.json", "schema.json"))
    assert done.returncode == 1 and "schema.json" in done.said


def test_a_schema_that_is_no_schema_is_an_error(check, tmp_path):
    (tmp_path / "schema.json").write_text('{"type":"no-such-type"}')
    done = check(PREVIEW.replace("/etc/sentinel/ws-schema.json", "schema.json"))
    assert done.returncode == 1 and "schema.json" in done.said


@pytest.mark.parametrize("reference", ["https://example.com/x.json", "file:///etc/hostname", "../outside.json"])
def test_a_schema_may_not_reach_beyond_its_folder(check, tmp_path, reference):
    inside = tmp_path / "schemas"
    inside.mkdir()
    (tmp_path / "outside.json").write_text("{}")
    (inside / "schema.json").write_text(json.dumps({"$ref": reference}))
    done = check(PREVIEW.replace("/etc/sentinel/ws-schema.json", "schemas/schema.json"))
    assert done.returncode == 1, done.said


def test_the_same_block_beside_a_listener_is_valid(check):
    assert check(INLINE).returncode == 0


MISTAKES = [
    # what is written, instead of what, the text to point at, the nearest known name
    ("rate-limt {", "rate-limit {", "rate-limt", "rate-limit"),
    ("block-pattern ", "block-patterns ", "block-pattern ", "block-patterns"),
    ("max-mesage-size ", "max-message-size ", "max-mesage-size", "max-message-size"),
    ("mesages-per-second ", "messages-per-second ", "mesages-per-second", "messages-per-second"),
    ("lisener ", "listener ", "lisener", "listener"),
    ("upstrem=", "upstream=", "upstrem=", "upstream"),
    ('"websocket_inspecter"', '"websocket_inspector"', '"websocket_inspecter"', "websocket_inspector"),
    ('"ws_clos"', '"ws_close"', '"ws_clos"', "ws_close"),
    ('upstream="backed"', 'upstream="backend"', '"backed"', "backend"),
    ('agent="websocket-inspektor"', 'agent="websocket-inspector"', '"websocket-inspektor"', "websocket-inspector"),
]


@pytest.mark.parametrize("wrong, right, pointed_at, nearest", MISTAKES, ids=[m[0].strip(' {="') for m in MISTAKES])
def test_a_mistake_is_shown_with_its_place_and_the_nearest_name(check, wrong, right, pointed_at, nearest):
    text = INLINE.replace(right, wrong, 1)
    done = check(text)
    assert done.returncode == 1
    line, column = place_of(text, pointed_at)
    # A value may be pointed at with or without its quotes, and a property at its name.
    entry = len(text.splitlines()[line - 1][: column - 1].rpartition(" ")[0]) + 2
    assert re.search(rf"policy\.kdl:{line}:({column}|{column + 1}|{entry})\b", done.said), (line, column, done.said)
    assert pointed_at.strip('"= ') in done.said
    assert re.search(rf"(?<![\w-]){nearest}(?![\w-])", done.said), done.said


WRONG_VALUES = {
    "a negative count": ("burst 200", "burst -1", "-1"),
    "a word for a count": ("burst 200", 'burst "many"', '"many"'),
    "an unknown unit": ('max-message-size "64KiB"', 'max-message-size "64XiB"', '"64XiB"'),
    "zero for a size": ('max-message-size "64KiB"', "max-message-size 0", "max-message-size 0"),
    "a broken pattern": ('"/eval\\\\(/"', '"/eval(/"', '"/eval(/"'),
    "a broken address": ('bind "127.0.0.1:8080"', 'bind "localhost"', '"localhost"'),
    "no value": ("burst 200", "burst", "burst"),
    "two values": ("burst 200", "burst 200 300", "burst 200 300"),
    "a value twice": ("burst 200", "burst 200\n        burst 300", "burst 300"),
    "an unclosed block": ("burst 200\n    }", "burst 200\n", None),
    "an unclosed string": ('"64KiB"', '"64KiB', None),
}


@pytest.mark.parametrize("name", WRONG_VALUES)
def test_a_wrong_value_is_shown_with_its_line(check, name):
    right, wrong, pointed_at = WRONG_VALUES[name]
    assert right in INLINE
    text = INLINE.replace(right, wrong, 1)
    done = check(text)
    assert done.returncode == 1, done.said
    place = r"\d+" if pointed_at is None else place_of(text, pointed_at)[0]
    assert re.search(rf"policy\.kdl:{place}:\d+", done.said), done.said


TOLERATED = {
    "a list in brackets": ('events "ws_close"', 'events ["ws_close" "ws_open"]'),
    "a list in brackets in a one-line block": (
        'content-filter {\n        block-patterns "/eval\\\\(/"\n        max-message-size "64KiB"\n    }',
        'content-filter { block-patterns ["/a/" "/b/"]; max-message-size 1000 }',
    ),
    "a bare false": ('bind "127.0.0.1:8080"', 'bind "127.0.0.1:8080"\n    proxy-protocol false'),
    "a bare true in a one-line block": (
        'events "ws_close"',
        'events "ws_close"\n    validation { schema-type "json"; schema-path "schema.json"; reject-invalid true }',
    ),
    "a hash true": (
        'events "ws_close"',
        'events "ws_close"\n    validation { schema-type "json"; schema-path "schema.json"; reject-invalid #true }',
    ),
    "brackets and true inside a string": ('"/eval\\\\(/"', '"/[a-z] true \\\\[\\"null\\"\\\\]/"'),
    "a comment with brackets": ('events "ws_close"', 'events "ws_close" // ["x"] true'),
}


@pytest.mark.parametrize("name", TOLERATED)
def test_a_tolerated_spelling_loads(check, tmp_path, name):
    (tmp_path / "schema.json").write_text("{}")
    right, other = TOLERATED[name]
    assert right in INLINE
    done = check(INLINE.replace(right, other, 1))
    assert done.returncode == 0, done.said


def test_a_tolerated_spelling_does_not_move_the_columns_after_it(check):
    text = INLINE.replace('events "ws_close"', 'events ["ws_close" "ws_opn"]; rate-limt { burst 1 }')
    done = check(text)
    assert done.returncode == 1
    places = [place_of(text, piece) for piece in ('"ws_opn"', "rate-limt")]
    assert any(re.search(rf"policy\.kdl:{line}:({col}|{col + 1})\b", done.said) for line, col in places), done.said


def test_all_of_the_contract_file_is_known_and_its_missing_files_are_reported(check):
    text = (HERE / "support" / "contract.kdl").read_text()
    done = check(text, "contract.kdl")
    assert done.returncode == 1
    assert "contract.kdl:" in done.said
    said = done.said.replace("Every unknown node or property", "")  # the file's own comment, if shown
    assert not re.search(r"unknown (node|name|property)|did you mean|unexpected", said), said
    assert not re.search(r"not (yet )?built|not yet", done.said)
    assert "config/schemas/order.json" in done.said


def test_a_missing_configuration_file_is_named(tmp_path):
    done = run_binary("check", "-c", str(tmp_path / "nowhere.kdl"))
    assert done.returncode != 0 and "nowhere.kdl" in done.stdout + done.stderr


def test_run_refuses_what_check_refuses(tmp_path):
    path = tmp_path / "policy.kdl"
    path.write_text(INLINE.replace("rate-limit {", "rate-limt {"))
    done = run_binary("run", "-c", str(path))
    assert done.returncode != 0
    assert "rate-limt" in unstyled(done.stdout + done.stderr)


def test_run_names_an_address_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path = tmp_path / "policy.kdl"
        admin = f'admin {{ bind "127.0.0.1:{free_port()}" }}\n'
        path.write_text(INLINE.replace("127.0.0.1:8080", f"127.0.0.1:{port}") + admin)
        done = run_binary("run", "-c", str(path))
    assert done.returncode != 0
    assert str(port) in done.stdout + done.stderr


def test_version_names_the_product_and_its_version():
    done = run_binary("--version")
    assert done.returncode == 0
    assert re.search(r"websocket-inspector \d+\.\d+\.\d+", done.stdout)


def test_help_lists_the_commands():
    done = run_binary("--help")
    assert done.returncode == 0
    for command in ("run", "check", "demo", "doctor"):
        assert re.search(rf"\b{command}\b", done.stdout), command


def test_an_unknown_command_is_an_error():
    done = run_binary("inspekt")
    assert done.returncode != 0 and done.stderr


def test_doctor_speaks_of_everything_the_runtime_needs():
    done = run_binary("doctor")
    said = unstyled(done.stdout + done.stderr).lower()
    for topic in ("kernel", "io_uring", "memlock", "nofile", "cpu"):
        assert topic in said, topic
    assert "panicked" not in said
