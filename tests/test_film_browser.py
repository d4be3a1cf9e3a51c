"""The page of one film and Try a film in a browser, over a node that read real films.

Pictures of both are left in build/console, for people.
"""

import base64
import re
from io import BytesIO

import numpy as np
import pytest
from browser import PICTURES, SECONDS, WIDTHS, assert_accessible, keep
from film_pages import CHEST, KNEE, TURNED, node_with_films, real_film
from PIL import Image
from playwright.sync_api import expect
from servers import wait_until
from sqlalchemy import select

from storage import database
from storage.tables import verdict

expect.set_options(timeout=1000 * SECONDS)


@pytest.fixture(scope="module")
def node(browser, tmp_path_factory, rg1_path):
    """A node of which only the console runs, after its films were read and sent."""
    with node_with_films(tmp_path_factory.mktemp("browser"), rg1_path) as node, node.running("console"):
        yield node


@pytest.fixture
def film(page, node):
    """The page of the chest film, drawn."""
    return opened(page, node, CHEST)


def opened(page, node, job):
    page.goto(f"http://127.0.0.1:{node.console_port}/film/{job}")
    page.locator("#instead").wait_for(state="hidden")
    return page


def shown(page, canvas="film"):
    """What a canvas holds, (rows, columns, 3) int."""
    url = page.locator(f"#{canvas}").evaluate("canvas => canvas.toDataURL()")
    with Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def drag(page, canvas, across, down, button="left"):
    box = page.locator(f"#{canvas}").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down(button=button)
    page.mouse.move(x + across, y + down, steps=4)
    page.mouse.up(button=button)
    page.wait_for_timeout(100)  # the next frame draws


def amber(picture):
    """How much of the amber is in a picture."""
    return float((picture[..., 0] - picture[..., 2]).clip(0).mean())


def test_the_film_is_drawn_grey_and_the_heat_map_with_colour(film):
    left, right = shown(film, "film"), shown(film, "heat")
    assert np.ptp(left, axis=2).max() == 0
    assert left.std() > 20
    assert amber(right) > 3
    expect(film.locator("#window")).to_have_text("C 15,000 W 30,000 as received")
    expect(film.locator("#caption")).to_contain_text("1841 × 1955")


@pytest.mark.parametrize("canvas", ["film", "heat"])
def test_dragging_changes_window_and_level_of_both_pictures_and_reset_brings_them_back(film, canvas):
    before = {one: shown(film, one) for one in ("film", "heat")}
    drag(film, canvas, -120, -40)
    expect(film.locator("#window")).to_contain_text("changed by you")
    for one, picture in before.items():
        assert np.abs(shown(film, one) - picture).mean() > 5
    assert shown(film).std() > before["film"].std()  # a narrower window has more contrast
    film.keyboard.press("0")
    for one, picture in before.items():
        np.testing.assert_array_equal(shown(film, one), picture)


def test_dragging_down_darkens_and_up_brightens_whatever_the_polarity(film):
    before = shown(film).mean()
    drag(film, "film", 0, 60)
    darker = shown(film).mean()
    drag(film, "film", 0, -120)
    assert darker < before < shown(film).mean()


def test_window_and_level_go_by_keys_and_by_figures(film):
    before = shown(film)
    film.locator("#film").focus()
    for _ in range(5):
        film.keyboard.press("ArrowLeft")
    film.wait_for_timeout(100)
    narrower = shown(film)
    assert narrower.std() > before.std()
    film.locator("#centre").fill("12000")
    film.locator("#width").fill("9000")
    film.locator("#width").press("Enter")
    expect(film.locator("#window")).to_have_text("C 12,000 W 9,000 changed by you")
    assert np.abs(shown(film) - narrower).mean() > 5


def test_the_wheel_zooms_both_pictures_and_shift_drag_moves_them(film):
    before = shown(film), shown(film, "heat")
    film.locator("#heat").hover()
    for _ in range(4):
        film.mouse.wheel(0, -100)
    expect(film.locator("#zoom")).to_have_text("zoom 2.4")
    nearer = shown(film), shown(film, "heat")
    assert all(np.abs(one - other).mean() > 5 for one, other in zip(before, nearer, strict=True))
    drag(film, "film", 60, 60, button="right")
    assert np.abs(shown(film) - nearer[0]).mean() > 3
    film.locator("#reset").click()
    expect(film.locator("#zoom")).to_have_text("whole film")


def test_zooming_far_fetches_the_film_at_its_own_size(film):
    with film.expect_response(re.compile("full=true")) as answer:
        for _ in range(8):
            film.locator("#larger").click()
    assert answer.value.status == 200
    expect(film.locator("#zoom")).to_have_text("zoom 6.0")


def test_the_slider_sets_how_much_colour_there_is(film):
    found = []
    for opacity in ("0", "50", "100"):
        film.locator("#opacity").fill(opacity)
        found.append(amber(shown(film, "heat")))
    assert found[0] < found[1] / 4
    assert found[1] < found[2]
    expect(film.locator("#opacity-value")).to_have_text("100 %")


def test_the_key_l_draws_and_takes_away_the_lung_outline(film):
    with_outline = shown(film, "heat")
    film.keyboard.press("l")
    without = shown(film, "heat")
    changed = np.abs(with_outline - without).max(axis=2) > 0
    assert 0.005 < changed.mean() < 0.1
    expect(film.locator("#outline")).not_to_be_checked()
    film.locator("#outline").check()
    np.testing.assert_array_equal(shown(film, "heat"), with_outline)


def test_agree_by_key_and_disagree_by_dialog_are_kept(film, node):
    film.keyboard.press("a")
    expect(film.locator("#said")).to_contain_text("local: agrees")
    film.locator("#instead").wait_for(state="hidden")
    film.keyboard.press("d")
    dialog = film.locator("#disagree-dialog")
    dialog.get_by_label("other finding", exact=True).check()
    dialog.locator("#remark").fill("round masses")
    dialog.get_by_role("button", name="Disagree").click()
    expect(film.locator("#said")).to_contain_text("disagrees, sees round masses")
    with database.reading(node.engine) as connection:
        kept = connection.execute(select(verdict).order_by(verdict.c.id)).all()
    assert [(one.opinion, one.finding, one.remark) for one in kept] == [
        ("AGREE", "", ""), ("DISAGREE", "other finding", "round masses"),
    ]  # fmt: skip
    assert node.films()[CHEST - 1].decision == kept[0].decision


def test_texture_is_told_of_both_lungs(film):
    expect(film.locator('[data-figure="entropy"]')).to_have_text(re.compile(r"\d\.\d / \d\.\d bit"))


def test_keys_go_from_film_to_film_and_back_to_the_list(film, node):
    film.keyboard.press("k")
    film.wait_for_url(f"**/film/{TURNED}")
    film.keyboard.press("j")
    film.wait_for_url(f"**/film/{CHEST}")
    film.locator("#instead").wait_for(state="hidden")
    with film.expect_request(f"http://127.0.0.1:{node.console_port}/"):
        film.keyboard.press("Escape")


def test_a_film_that_is_not_read_is_shown_with_its_reason(page, node):
    opened(page, node, TURNED)
    assert shown(page).std() > 20
    expect(page.get_by_role("heading", name="Not analysed: rotated")).to_be_visible()
    expect(page.locator("#agree")).to_be_disabled()
    assert_accessible(page)
    keep(page, "film-not-analysed")
    opened(page, node, KNEE)
    expect(page.get_by_role("heading", name="Not analysed: not a chest film")).to_be_visible()


@pytest.mark.parametrize("width", WIDTHS)
def test_both_pictures_stand_side_by_side_at_every_width(film, width):
    expect(film.locator('[data-figure="mean"]')).to_have_text(re.compile(r"\d"))
    keep(film, "film", width)
    film.set_viewport_size({"width": width, "height": WIDTHS[width]})
    boxes = [film.locator(f"#{canvas}").bounding_box() for canvas in ("film", "heat")]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert min(box["width"] for box in boxes) > 300


def test_no_serious_fault_of_accessibility(film):
    assert_accessible(film)
    film.locator("#disagree").click()
    assert_accessible(film)
    film.goto(f"{film.url.partition('/film')[0]}/models/firstread-1/card")
    assert_accessible(film)
    keep(film, "card", 1024)


def test_requeue_asks_for_a_reason_and_says_what_happens_where(film, node):
    film.get_by_role("button", name="Requeue…").click()
    dialog = film.locator("#requeue")
    expect(dialog).to_contain_text("1 object is queued again for PACS-RESEARCH")
    dialog.get_by_role("button", name="Requeue").click()  # without a reason the form does not go
    expect(dialog).to_be_visible()
    film.screenshot(path=PICTURES / "film-requeue.png")
    dialog.locator("select").select_option("destination")
    dialog.get_by_role("button", name="Requeue").click()
    expect(film.locator(".history")).to_contain_text("requeued: the destination is mended")
    states = {row.state for row in node.deliveries() if row.film_id == CHEST}
    assert states == {"SENT", "PENDING"}


def test_withdraw_says_from_where_and_sends_a_note(film, node):
    film.get_by_role("button", name="Withdraw…").click()
    dialog = film.locator("#withdraw")
    expect(dialog).to_contain_text("2 objects are withdrawn from PACS-MAIN")
    film.screenshot(path=PICTURES / "film-withdraw.png")
    dialog.get_by_role("button", name="Cancel").click()
    assert node.films()[CHEST - 1].withdrawn_at is None
    film.get_by_role("button", name="Withdraw…").click()
    dialog.locator("select").select_option("quality")
    dialog.get_by_role("button", name="Withdraw").click()
    wait_until(lambda: node.films()[CHEST - 1].withdrawn_at, 30, "withdrawal")
    expect(film.locator(".film-head")).to_contain_text("Results withdrawn")
    notes = [row.destination for row in node.deliveries() if row.kind == "RN"]
    assert sorted(notes) == ["PACS-MAIN", "PACS-RESEARCH"]


def test_a_film_is_tried_and_drawn_as_on_its_page(page, node, rg1_path, tmp_path):
    path = tmp_path / "film.dcm"
    real_film(rg1_path).save_as(path)
    page.goto(f"http://127.0.0.1:{node.console_port}/try")
    page.locator("#file").set_input_files(path)
    page.locator("#film").wait_for()
    page.locator("#instead").wait_for(state="hidden")
    row = node.films()[CHEST - 1]
    expect(page.get_by_role("heading", name=f"Highest model score: {row.decision}")).to_be_visible()
    assert amber(shown(page, "heat")) > 3
    before = shown(page)
    drag(page, "film", -100, 0)
    assert np.abs(shown(page) - before).mean() > 3
    assert_accessible(page)
    keep(page, "try")
    path.write_bytes(b"no film")
    page.locator("#file").set_input_files(path)
    expect(page.locator("#refused")).to_contain_text("expected DICOM Part 10, PNG or JPEG")
