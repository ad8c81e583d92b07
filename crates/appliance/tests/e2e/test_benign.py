"""Ordinary traffic that looks like an attack passes unchanged with every built-in rule set on."""

import json

import pytest

from support.inspector import agent_block
from support.oracle import BOTH_DIRECTIONS, DELIVERIES, assert_passes
from support.peers import open_pair
from support.wire import BINARY, TEXT

pytestmark = pytest.mark.direct

POLICY = agent_block(
    """
    content-filter {
        rules "xss" "sqli" "command-injection"
        max-message-size "1MiB"
    }
    """
)

SENTENCES = [
    "hello; see you at 8",
    "a | b",
    "price && qty",
    "run `cargo build` first",
    "```js\nconst total = a + b;\n```",
    "ticket #",
    "ticket #4711",
    "0xdeadbeef",
    "dash --",
    "only = 3",
    "Scunthorpe",
    "Penistone and Lightwater",
    "if (a < b && c > d)",
    "select a union rep",
    "please select one from the list",
    "drop me a line; the table is set",
    "5 < 6 > 4",
    "it's 1 or 1 of them",
    "O'Brien -- the elder",
    "on click, open the menu",
    "javascript is a language",
    "an image of a script",
    "cat /dev/random is a joke",
    "$5 (five dollars)",
    "https://example.com/?a=1&b=2#c",
    "C:\\Users\\me\\file.txt",
    "100% | 50%",
    "<3",
    "",
    " ",
    "👩‍👩‍👧‍👦 and 🏳️‍🌈",
    "שלום; مرحبا && 你好",
    "a\tb\r\nc",
]


@pytest.fixture(scope="module")
def inspector(start_once, shared_backend):
    return start_once(shared_backend.port, POLICY)


@pytest.fixture
def pair(inspector, shared_backend):
    pair = open_pair(inspector, shared_backend)
    yield pair
    pair.close()


both = pytest.mark.parametrize("direction", BOTH_DIRECTIONS)


@both
@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("sentence", SENTENCES, ids=ascii)
def test_a_benign_sentence_passes(pair, sentence, opcode, direction):
    sender, _ = pair.ends(direction)
    octets = sentence.encode()
    assert_passes(pair, direction, sender.framer.frame(opcode, octets), [(opcode, octets)])


@both
@pytest.mark.parametrize("sentence", SENTENCES, ids=ascii)
def test_a_benign_sentence_passes_inside_json(pair, sentence, direction):
    sender, _ = pair.ends(direction)
    messages = [json.dumps({"text": sentence}, ensure_ascii=ascii_only).encode() for ascii_only in (True, False)]
    wire = b"".join(map(sender.framer.text, messages))
    assert_passes(pair, direction, wire, [(TEXT, message) for message in messages])


@both
@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("text", ["👩‍👩‍👧‍👦🏳️‍🌈", "مرحبا بالعالم"], ids=["emoji", "right-to-left"])
def test_text_cut_anywhere_passes(pair, text, direction, delivery):
    sender, _ = pair.ends(direction)
    octets = text.encode()
    cuts = range(len(octets) + 1)
    wire = b"".join(sender.framer.fragments(TEXT, [octets[:n], octets[n:]]) for n in cuts)
    assert_passes(pair, direction, wire, [(TEXT, octets)] * len(cuts), bytewise=delivery == "bytewise")


@both
def test_an_unsolicited_pong_passes(pair, direction):
    sender, _ = pair.ends(direction)
    assert_passes(pair, direction, sender.framer.pong(b"beat") + sender.framer.pong(), [])


@both
@pytest.mark.parametrize(
    "code", [None, 1000, 1001, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4000, 4999]
)
def test_a_legal_close_code_passes(pair, code, direction):
    sender, receiver = pair.ends(direction)
    sender.answers_close = False
    sender.queue(sender.framer.close(code))
    pair.exchange(until=lambda: receiver.heard.close is not None or receiver.heard.ended)
    assert receiver.heard.close_code == (code or 1005)
    assert receiver.heard.close_reason == b""
