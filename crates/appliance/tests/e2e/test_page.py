"""The live page, in a headless browser, over real connections."""

import json
import os
import re
import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

from support.inspector import agent_block
from support.peers import RawPeer, as_head, open_pair, upgrade_lines

TOKEN = "0123456789abcdef0123456789abcdef"
POLICY = agent_block('content-filter { block-patterns "forbidden" }')
WAIT_MS = 10_000
expect.set_options(timeout=WAIT_MS)


def browser_path() -> str:
    """WSI_BROWSER, or the first Chromium of the path."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = os.environ.get("WSI_BROWSER") or next(filter(None, map(shutil.which, names)), None)
    if not found:
        pytest.skip("there is no Chromium here: install it (apt-get install chromium) or set WSI_BROWSER to its path")
    return found


@pytest.fixture(scope="module")
def browser():
    path = browser_path()
    with sync_playwright() as playwright:
        # Without its sandbox it also runs as root, in a container; it sees this page only.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def inspector(start, backend, tmp_path):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return start(backend.port, POLICY, admin=f'token-path "{path}"')


@pytest.fixture
def visit(browser):
    """visit(inspector) -> the page. At the end of the test it must have had no error, and asked nobody else."""
    visits = []

    def visit(inspector, before=lambda page: None, size=(1280, 900), **settings):
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **settings)
        page, home, faults = context.new_page(), f"http://127.0.0.1:{inspector.admin_port}/", []
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("console", lambda said: said.type in ("error", "warning") and faults.append(f"console: {said.text}"))
        page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda asked: asked.url.startswith((home, "data:")) or faults.append(f"asked {asked.url}"))
        visits.append((context, faults))
        before(page)
        page.goto(home)
        expect(page.locator("#state")).to_have_text("ready")
        return page

    yield visit
    for context, faults in visits:
        context.close()
        assert faults == []


def unlock(page, token: str = TOKEN) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Unlock").click()


def row_of(page, pair):
    return page.locator("#connections tbody tr").filter(has_text=pair.client.local_address)


def say(pair, text: str) -> None:
    count = len(pair.server.heard.messages) + 1
    pair.client.queue(pair.client.framer.text(text))
    assert pair.exchange(until=lambda: len(pair.server.heard.messages) >= count)


def break_policy(pair) -> None:
    pair.client.queue(pair.client.framer.text("forbidden"))
    assert pair.exchange()


def test_connections_appear_and_their_figures_move(inspector, backend, visit):
    page = visit(inspector)
    expect(page.locator("#connections-empty")).to_have_text("Nobody is connected.")
    pair = open_pair(inspector, backend)
    row = row_of(page, pair)
    expect(row).to_have_count(1)
    expect(page.locator("[data-tile=connections] b")).to_have_text("1")
    for number in range(1, 4):
        say(pair, "hello")
        expect(row.locator("td").nth(8)).to_have_text(str(number))
    expect(row.locator("td").nth(10)).to_have_text("15 B")
    expect(page.locator("#clients .name")).to_have_text(["127.0.0.1"])
    expect(page.locator("#clients .count")).to_have_text(["3"])
    pair.close()
    expect(row).to_have_count(0)


def test_messages_a_second_are_drawn(inspector, backend, visit):
    page = visit(inspector)
    pair = open_pair(inspector, backend)
    expect(row_of(page, pair)).to_have_count(1)
    picture = page.get_by_role("img", name="Messages a second")
    expect(picture.locator("path.curve")).to_have_count(2)
    say(pair, "hello")
    peak = page.locator(".tile").filter(has_text="Messages a second").locator(".peak")
    expect(peak).to_contain_text("peak")
    expect(page.get_by_role("img", name="Verdicts a second")).to_have_attribute("aria-label", "Verdicts a second over two minutes: now stopped or told of 0, peak 0")


def test_a_verdict_is_in_the_stream_and_among_the_top_rules(inspector, backend, visit):
    page = visit(inspector)
    expect(page.locator("#rules")).to_have_text("No verdict so far.")
    pair = open_pair(inspector, backend)
    break_policy(pair)
    verdict = page.locator("#events .verdict")
    expect(verdict).to_have_count(1)
    expect(verdict).to_contain_text("content-filter-1/block-patterns-1")
    expect(verdict.locator(".what")).to_have_text("close 1008")
    expect(page.locator("#rules .name")).to_have_text(["content-filter-1/block-patterns-1"])
    expect(page.locator("#rules .portion")).to_have_text(["100 %"])
    verdict.locator("summary").click()
    expect(verdict.locator("pre")).to_contain_text(f'"client": "{pair.client.local_address}"')
    # A rule leads to its events.
    page.locator("#rules button").click()
    expect(page.locator("#events details")).to_have_count(1)


def test_search_kind_and_pause_narrow_the_stream(inspector, backend, visit):
    page = visit(inspector)
    pairs = [open_pair(inspector, backend, path=f"/room-{name}") for name in ("red", "green")]
    rows = page.locator("#events details")
    expect(rows).to_have_count(4)
    page.get_by_label("Search events").fill("ROOM-RED")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("/room-red")
    page.get_by_label("Search events").fill("nothing like it")
    expect(page.locator("#events-empty")).to_have_text("None of them matches.")
    page.get_by_label("Search events").fill("")
    page.get_by_label("Kind of event").select_option("Messages")
    expect(rows).to_have_count(0)
    say(pairs[0], "hello")
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="Pause").click()
    say(pairs[1], "hello")
    expect(page.locator("#events-count")).to_contain_text("paused, 1 new")
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="Go on").click()
    expect(rows).to_have_count(2)


def test_connections_are_filtered_and_sorted(inspector, backend, visit):
    page = visit(inspector)
    pairs = [open_pair(inspector, backend) for _ in range(3)]
    for i, pair in enumerate(pairs):
        for _ in range(i):
            say(pair, "hello")
    rows = page.locator("#connections tbody tr")
    expect(rows).to_have_count(3)
    column = page.get_by_role("button", name="Msg to server")
    column.click()
    expect(rows.locator("td:nth-child(9)")).to_have_text(["2", "1", "0"])
    column.click()
    expect(rows.locator("td:nth-child(9)")).to_have_text(["0", "1", "2"])
    expect(page.get_by_role("columnheader", name="Msg to server")).to_have_attribute("aria-sort", "ascending")
    page.get_by_label("Filter connections").fill(pairs[1].client.local_address)
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(pairs[1].client.local_address)


def test_a_connection_has_a_timeline(inspector, backend, visit):
    page = visit(inspector)
    pair, other = open_pair(inspector, backend, path="/mine"), open_pair(inspector, backend, path="/other")
    say(pair, "hello")
    say(other, "hello")
    row_of(page, pair).click()
    timeline = page.get_by_role("dialog")
    rows = timeline.locator("details")
    expect(rows.locator(".what")).to_have_text(["message", "open", "handshake"])
    expect(timeline.locator("#timeline-facts")).to_contain_text("/mine")
    expect(timeline.locator("line.ws_message")).to_have_count(1)
    break_policy(pair)
    expect(rows.first.locator(".what")).to_have_text("close")
    expect(timeline.locator("path.mark.bad")).to_have_count(1)
    expect(timeline.locator("#timeline-facts")).to_contain_text("ended")
    page.keyboard.press("Escape")
    expect(timeline).to_have_count(0)


MARKUP = ("<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", '"><svg onload=alert(1)>')


@pytest.mark.parametrize("text", MARKUP)
def test_what_records_hold_is_text(inspector, backend, visit, text):
    """The inspector refuses upgrades with markup in them; the page does not rely on it."""

    def spoil(route):
        answer = route.fetch().json()
        for each in answer.get("events", []) + answer.get("connections", []):
            spoilt = ("path", "host", "origin", "client", "policy", "listener", "rule", "reason", "action", "phase")
            each.update({name: text for name in spoilt if each.get(name) is not None})
            if each.get("event") == "verdict":
                each["excerpt"] = text
        route.fulfill(body=json.dumps(answer), content_type="application/json")

    page = visit(inspector, before=lambda page: page.route(re.compile("/api/(events|connections)"), spoil))
    pair, broken = open_pair(inspector, backend), open_pair(inspector, backend)
    break_policy(broken)
    verdict = page.locator("#events .verdict")
    expect(verdict).to_contain_text(text)
    verdict.locator("summary").click()
    expect(verdict.locator("pre")).to_contain_text(json.dumps(text))
    expect(page.locator("#clients .name")).to_have_text([text])
    page.locator("#connections tbody tr").click()
    expect(page.locator("#timeline-facts")).to_contain_text(text)
    expect(page.locator("#timeline-events details").last).to_contain_text(text)
    assert page.locator("img, #events svg, body > script:not(:last-of-type)").count() == 0
    assert page.locator("script").count() == 1
    say(pair, "still here")
    # Dialogs, errors and requests are seen to at the end of the test.


@pytest.mark.parametrize("text", MARKUP)
def test_an_upgrade_with_markup_is_a_verdict(inspector, backend, visit, text):
    page = visit(inspector)
    path = "/" + text.replace(" ", "/")
    client = RawPeer.connect(inspector.address)
    client.sock.sendall(as_head(upgrade_lines(path)))
    assert client.read_head().status == 400
    expect(page.locator("#events .verdict .what")).to_have_text("refuse 400")
    expect(page.locator("#rules .name")).to_have_text(["handshake/target-invalid"])


def test_a_connection_is_closed_with_the_token(inspector, backend, visit):
    page = visit(inspector)
    pair, other = open_pair(inspector, backend), open_pair(inspector, backend)
    expect(row_of(page, pair)).to_have_count(1)
    unlock(page)
    close = row_of(page, pair).get_by_role("button", name="Close")
    close.click()
    expect(close).to_have_text("Sure?")
    close.click()
    expect(page.get_by_role("status")).to_contain_text("is closed")
    assert pair.exchange()
    assert (pair.client.heard.close_code, pair.server.heard.close_code) == (1001, 1001)
    expect(row_of(page, pair)).to_have_count(0)
    say(other, "still here")


def test_a_policy_is_switched(inspector, backend, visit):
    page = visit(inspector)
    unlock(page)
    mode = page.get_by_role("group", name="Mode of websocket-inspector")
    enforce, detect = mode.locator("[data-mode=enforce]"), mode.locator("[data-mode=detect]")
    expect(enforce).to_have_attribute("aria-pressed", "true")
    detect.click()
    detect.click()
    expect(detect).to_have_attribute("aria-pressed", "true")
    assert inspector.api("status")[1]["policies"][0]["mode"] == "detect"
    pair = open_pair(inspector, backend)
    say(pair, "forbidden")
    expect(page.locator("#events .verdict .what")).to_have_text("would close 1008")
    enforce.click()
    enforce.click()
    expect(enforce).to_have_attribute("aria-pressed", "true")
    break_policy(pair)
    assert pair.client.heard.close_code == 1008


def test_without_the_token_one_may_only_look(inspector, backend, visit):
    page = visit(inspector)
    pair = open_pair(inspector, backend)
    expect(row_of(page, pair)).to_have_count(1)
    expect(page.locator("#access")).to_have_text("Read only")
    expect(row_of(page, pair).get_by_role("button", name="Close")).to_have_count(0)
    for mode in ("enforce", "detect"):
        expect(page.locator(f"[data-mode={mode}]")).to_be_disabled()
    unlock(page, TOKEN[:-1])
    expect(page.locator("#access")).to_have_text("That is not the token")
    expect(row_of(page, pair).get_by_role("button", name="Close")).to_have_count(0)
    unlock(page)
    expect(row_of(page, pair).get_by_role("button", name="Close")).to_have_count(1)
    page.reload()
    expect(page.locator("#access")).to_have_text("Unlocked")
    page.get_by_role("button", name="Lock", exact=True).click()
    expect(page.locator("#access")).to_have_text("Read only")


def test_where_there_is_no_token_the_page_says_so(start, backend, visit):
    page = visit(start(backend.port, POLICY))
    expect(page.locator("#access")).to_contain_text("no token-path")
    expect(page.get_by_label("Token")).to_be_hidden()
    expect(page.locator("#policies-hint")).to_contain_text("token-path")


@pytest.mark.parametrize("settings", [{"color_scheme": "dark"}, {"size": (390, 844)}], ids=["dark", "phone"])
def test_nothing_sticks_out(inspector, backend, visit, settings):
    page = visit(inspector, **settings)
    pair = open_pair(inspector, backend, path="/" + "long" * 50)
    break_policy(pair)
    expect(page.locator("#events .verdict")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_page_says_when_nobody_answers(inspector, browser):
    # Here requests fail on purpose, which a browser puts on its console.
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{inspector.admin_port}/")
    expect(page.locator("#state")).to_have_text("ready")
    inspector.stop()
    expect(page.get_by_role("alert")).to_contain_text("can't be reached")
    expect(page.locator("#state")).to_have_text("unreachable")
    inspector._launch()
    expect(page.get_by_role("alert")).to_be_hidden(timeout=20_000)
    expect(page.locator("#state")).to_have_text("ready")
    page.close()
