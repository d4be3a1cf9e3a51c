"""The pages of login and users in Debian's Chromium."""

import pytest
from browser import WIDTHS, assert_accessible, keep
from node import Node
from visitor import PASSWORD, Visitor, add_user

from storage.states import Role


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    """A node whose console runs, with an admin and a reader."""
    node = Node(tmp_path_factory.mktemp("login"))
    node.migrate()
    add_user(node, "kim", Role.ADMIN)
    add_user(node, "lee", Role.READER)
    with node.running("console"):
        yield node
    node.engine.dispose()


@pytest.fixture
def faults(page):
    """What the page's own rules kept it from doing."""
    said = []
    page.on(
        "console", lambda message: said.append(message.text) if "Security Policy" in message.text else None
    )
    return said


def log_in(page, console, name, password=PASSWORD, path="/users"):
    page.goto(f"http://127.0.0.1:{console.console_port}{path}")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_a_person_logs_in_is_told_of_a_slip_and_logs_out(page, console, faults):
    log_in(page, console, "kim", "not the password", "/account")
    page.get_by_role("alert").get_by_text("This name and password do not belong together.").wait_for()
    assert page.get_by_label("Name").input_value() == "kim"
    assert page.evaluate("document.activeElement.id") == "password"
    assert_accessible(page)
    keep(page, "login")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Change your password").wait_for()
    assert page.locator(".who").inner_text().split() == ["kim", "role", "admin"]
    assert_accessible(page)
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("heading", name="Log in").wait_for()
    page.go_back()
    page.reload()
    page.get_by_role("heading", name="Log in").wait_for()
    assert faults == []


def test_an_admin_adds_changes_and_removes_a_user_who_then_is_out(page, console, faults):
    log_in(page, console, "kim")
    page.get_by_label("Name of a new user").fill("Park")
    page.get_by_label("Password of the new user").fill("short")
    page.locator("form.pad").evaluate("form => { form.noValidate = true }")
    page.get_by_role("button", name="Add").click()
    page.get_by_role("alert").get_by_text("Park: a password of 5 characters, expected 12 to 256").wait_for()
    page.get_by_label("Name of a new user").fill("Park")
    page.get_by_label("Password of the new user").fill(PASSWORD)
    page.get_by_role("button", name="Add").click()
    row = page.get_by_role("row").filter(has_text="park")
    row.wait_for()
    assert row.get_by_label("Role").input_value() == "reader"
    visitor = Visitor(console)
    visitor.log_in("park")
    row.get_by_label("Role").select_option("viewer")
    row.get_by_role("button", name="Change").click()
    page.wait_for_function("document.querySelectorAll('tr option[selected]')[2].value === 'viewer'")
    assert visitor.me()[0] == 401
    visitor.log_in("park")
    assert visitor.me() == (200, {"name": "park", "role": "viewer"})
    assert_accessible(page)
    for width in WIDTHS:
        keep(page, "users", width)
    row.get_by_role("button", name="Remove").click()
    row.wait_for(state="detached")
    assert visitor.me()[0] == 401
    page.get_by_role("row").filter(has_text="kim").get_by_role("button", name="Remove").click()
    page.get_by_role("alert").get_by_text("kim is the only admin; expected another one first").wait_for()
    assert faults == []


def test_a_reader_sees_no_users_and_changes_his_own_password(page, console):
    log_in(page, console, "lee")
    page.get_by_text("found role reader, expected admin").wait_for()
    assert page.get_by_role("link", name="Users").count() == 0
    elsewhere = Visitor(console)
    elsewhere.log_in("lee")
    page.get_by_role("link", name="lee").click()
    for old, said in (("wrong", "The old password is not that of this user."), (PASSWORD, None)):
        for label, value in (("Old password", old), ("New password", "another password"),
                             ("New password once more", "another password")):  # fmt: skip
            page.get_by_label(label, exact=True).fill(value)
        page.get_by_role("button", name="Change").click()
        if said:
            page.get_by_role("alert").get_by_text(said).wait_for()
    page.wait_for_url(f"http://127.0.0.1:{console.console_port}/")
    assert elsewhere.me()[0] == 401
    assert elsewhere.log_in("lee").status_code == 403
    assert elsewhere.log_in("lee", "another password").status_code == 303


def test_login_and_logout_work_without_javascript(browser, console):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    log_in(page, console, "kim")
    page.get_by_role("heading", name="Users").wait_for()
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("heading", name="Log in").wait_for()
    context.close()
