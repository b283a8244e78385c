"""The site in a real browser, opened from files: `make external`."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

pytestmark = [pytest.mark.external, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)
PAGES = (
    "index.html",
    "tiny/index.html",
    "tiny/verdicts.html",
    "tiny/data.html",
    "tiny/cells/tiny_faces.expression.tiny_net.distribution_matching.html",
    "tiny/cells/tiny_units.action_units.tiny_net.multi_task.html",
)


@pytest.fixture(scope="module")
def site(finished, tmp_path_factory):
    from ..runs.worlds import call

    out = tmp_path_factory.mktemp("site") / "site"
    assert call(finished, "site", "build", "tiny", "--out", str(out)) == 0
    return out


@pytest.fixture
def browser(tmp_path):
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path / 'profile'}", "about:blank"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def find(browser, selector):
    return browser.find_elements("css selector", selector)


def column(browser, number):
    script = (
        "return [...document.querySelectorAll('#leaderboard tbody tr')].filter(r => !r.hidden).map(r => r.cells[%d]."
    )
    return browser.execute_script(script % number + "textContent.trim())")


def narrow(browser, width=360):
    size = {"width": width, "height": 780, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def requested(browser):
    """Addresses that our pages asked for; what the browser's own first page asks for is none of them."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [one["request"]["url"] for one in sent if one["documentURL"].startswith("file://")]


def test_headers_sort_by_number_and_back(browser, site):
    browser.get((site / "tiny/index.html").as_uri())
    before = column(browser, 3)
    header = find(browser, "#leaderboard thead th")[3]
    button = header.find_element("css selector", "button")
    button.click()
    assert header.get_attribute("aria-sort") == "descending"
    assert [float(v) for v in column(browser, 3)] == sorted(map(float, before), reverse=True)
    button.send_keys("\n")  # by keyboard
    assert header.get_attribute("aria-sort") == "ascending"
    assert [float(v) for v in column(browser, 3)] == sorted(map(float, before))
    button.click()
    assert header.get_attribute("aria-sort") is None and column(browser, 3) == before


def test_rows_are_filtered_by_text_and_by_choice(browser, site):
    browser.get((site / "tiny/index.html").as_uri())
    (search,) = find(browser, "[data-columns] input[type=search]")
    search.send_keys("MATCHING")
    assert column(browser, 1) == ["distribution_matching"]
    assert find(browser, "[data-columns] .status")[0].text == "1 of 3 rows"
    search.clear()
    search.send_keys(" ")
    (choice, *_) = find(browser, "[data-columns] select")
    choice.find_element("css selector", "option[value=multi_task]").click()
    assert column(browser, 1) == ["multi_task"]


def test_columns_are_chosen(browser, site):
    browser.get((site / "tiny/index.html").as_uri())
    heads = find(browser, "#leaderboard thead th")
    steps = next(head for head in heads if "steps" in head.get_attribute("textContent"))
    assert not steps.is_displayed()
    find(browser, ".columns summary")[0].click()
    label = next(one for one in find(browser, ".choices label") if one.text == "steps")
    label.click()
    assert steps.is_displayed()
    label.click()
    assert not steps.is_displayed()


def test_a_score_leads_to_its_cell_and_back(browser, site):
    browser.get((site / "index.html").as_uri())
    find(browser, "article h2 a")[0].click()
    find(browser, "#leaderboard tbody td a")[0].click()
    assert "/cells/" in browser.current_url
    find(browser, "nav[aria-label=Site] a")[1].click()
    assert browser.current_url.endswith("tiny/index.html")


def test_dark_colours_are_those_of_the_system_or_of_the_reader_and_are_kept(browser, site):
    browser.get((site / "index.html").as_uri())

    def paper():
        return browser.execute_script("return getComputedStyle(document.body).backgroundColor")

    light = paper()
    feature = {"name": "prefers-color-scheme", "value": "dark"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    dark = paper()
    assert dark != light
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert paper() == light
    find(browser, "[data-theme-toggle]")[0].click()
    assert paper() == dark
    browser.get((site / "tiny/index.html").as_uri())
    assert paper() == dark


@pytest.mark.parametrize("page", PAGES)
def test_nothing_scrolls_sideways_on_a_phone(browser, site, page):
    narrow(browser)
    browser.get((site / page).as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("width", [1280, 1024, 360])
@pytest.mark.parametrize("page", ["tiny/verdicts.html", "tiny/index.html"])
def test_a_verdict_is_in_sight_without_scrolling_its_table(browser, site, page, width):
    narrow(browser, width)
    browser.get((site / page).as_uri())
    words = find(browser, "table .verdict")
    assert words
    for word in words:
        assert word.is_displayed() and word.rect["x"] >= 0 and word.rect["x"] + word.rect["width"] <= width


def test_tables_fit_a_screen_that_is_1280_wide(browser, site):
    for page in ("tiny/index.html", "tiny/verdicts.html"):
        browser.get((site / page).as_uri())
        for box in find(browser, ".board .scroll"):
            width, room = browser.execute_script("return [arguments[0].scrollWidth, arguments[0].clientWidth]", box)
            assert width <= room, (page, box.get_attribute("aria-labelledby"))


def test_on_a_phone_rows_are_cards_that_name_their_numbers(browser, site):
    narrow(browser)
    for page, names in (("tiny/index.html", ["average", "Δm %"]), ("tiny/verdicts.html", ["score", "difference"])):
        browser.get((site / page).as_uri())
        for box in find(browser, ".board .scroll"):
            assert browser.execute_script("return arguments[0].scrollWidth <= arguments[0].clientWidth", box)
        for name in names:
            cells = find(browser, f'.stack [data-label="{name}"]')
            assert cells and all(0 < cell.rect["x"] + cell.rect["width"] <= 360 for cell in cells)
            script = "return getComputedStyle(arguments[0], '::before').content"
            assert name in browser.execute_script(script, cells[0])
    before = [cell.text for cell in find(browser, ".stack [data-label=difference]")]
    button = next(one for one in find(browser, "#verdicts .sort") if one.text.startswith("difference"))
    button.click()
    after = [cell.text for cell in find(browser, ".stack [data-label=difference]")]
    assert after == sorted(before, key=lambda text: -float(text.split()[0]))


@pytest.mark.parametrize("width", [1280, 360])
def test_names_in_a_plot_cover_neither_each_other_nor_marks(browser, site, width):
    narrow(browser, width)
    browser.get((site / "tiny/index.html").as_uri())
    script = """
        const plot = document.querySelector("#figure-cost .plot");
        const boxes = kind => [...plot.querySelectorAll(kind)].map(one => one.getBoundingClientRect());
        const names = boxes(".label"), marks = boxes(".mark");
        const above = (a, b) => a.bottom - 3 <= b.top;
        const apart = (a, b) => a.right <= b.left || b.right <= a.left || above(a, b) || above(b, a);
        const clash = names.some((a, i) => [...names.slice(i + 1), ...marks].some(b => !apart(a, b)));
        return [names.length, marks.length, clash];
    """
    names, marks, clash = browser.execute_script(script)
    assert names == marks == 3 and not clash


def test_a_plot_on_a_phone_is_legible_and_scrolls_in_its_own_box(browser, site):
    narrow(browser)
    browser.get((site / "tiny/index.html").as_uri())
    for name in ("ranks", "cost"):
        (box,) = find(browser, f"#figure-{name} .scroll")
        assert box.rect["x"] >= 0 and box.rect["x"] + box.rect["width"] <= 360
        height = (
            "return Math.min(...[...arguments[0].querySelectorAll('text')].map(t => t.getBoundingClientRect().height))"
        )
        assert browser.execute_script(height, box) >= 8


@pytest.mark.parametrize("page", PAGES)
def test_no_text_of_a_picture_is_cut_off(browser, site, page):
    browser.get((site / page).as_uri())
    script = """
        return [...document.querySelectorAll("svg.plot")].flatMap(picture => {
            const whole = picture.getBoundingClientRect();
            return [...picture.querySelectorAll("text")].filter(text => {
                const mine = text.getBoundingClientRect();
                return mine.left < whole.left - 1 || mine.right > whole.right + 1 || mine.top < whole.top - 1;
            }).map(text => text.textContent);
        });
    """
    assert browser.execute_script(script) == []


def test_on_paper_headers_are_plain_text(browser, site):
    # Chromium repeats the header of a table on each sheet, but not buttons in it.
    browser.get((site / "tiny/verdicts.html").as_uri())
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    script = "return getComputedStyle(document.querySelector('#verdicts .sort')).display"
    assert browser.execute_script(script) == "contents"


def test_pages_run_without_errors_and_ask_for_nothing_but_files(browser, site):
    for page in PAGES:
        browser.get((site / page).as_uri())
        assert browser.get_log("browser") == [], page
    asked = requested(browser)
    assert len(asked) > len(PAGES) and all(url.startswith("file://") for url in asked), asked


def test_the_band_is_seen_at_once(browser, site):
    for page in PAGES:
        browser.get((site / page).as_uri())
        (band,) = find(browser, "body > .band")
        assert band.is_displayed() and band.rect["y"] == 0 and band.rect["height"] > 20
        assert "STAND-IN DATA" in band.text.upper()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_no_serious_violation(browser, site, page, theme):
    found = importlib.util.find_spec("axe_core_python")
    assert found is not None and found.origin is not None
    axe = (Path(found.origin).parent / "axe.min.js").read_text("utf-8")
    browser.get((site / page).as_uri())
    browser.execute_script(f"document.documentElement.dataset.theme = '{theme}'")
    browser.execute_script(axe)
    result = browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    bad = [
        (violation["id"], violation["help"], [node["html"][:200] for node in violation["nodes"][:3]])
        for violation in result["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
    assert bad == []
