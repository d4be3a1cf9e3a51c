"""Who comes to the console by HTTP: a browser without JavaScript, and the users that a test gives a node."""

import contextlib
import re
from collections.abc import Iterator

import requests
from node import Node

from daemon import accounts, config
from daemon.audit_messages import Person
from daemon.audit_trail import Trail
from storage.states import Role

PASSWORD = "correct horse battery staple"
SECONDS = 30


class Visitor:
    """A browser: it keeps cookies, and sends forms with the token of the page they stand on.

    Parameters
    ----------
    node : Node
        Whose console runs.
    headers : dict, optional
        Sent with every request.
    """

    def __init__(self, node: Node, headers: dict[str, str] | None = None, scheme: str = "http") -> None:
        self.url = f"{scheme}://127.0.0.1:{node.console_port}"
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.headers.update({"Accept": "text/html"} | (headers or {}))

    def get(self, path: str, **arguments: object) -> requests.Response:
        return self.http.get(self.url + path, timeout=SECONDS, **({"allow_redirects": False} | arguments))

    def token(self, path: str = "/login") -> str:
        """What a page's form sends back."""
        return re.search(r'name="csrf-token" content="(\w+)"', self.get(path).text).group(1)

    def post(self, path: str, **arguments: object) -> requests.Response:
        return self.http.post(self.url + path, timeout=SECONDS, **({"allow_redirects": False} | arguments))

    def log_in(self, user: str, password: str = PASSWORD, target: str = "/") -> requests.Response:
        fields = {"user": user, "password": password, "next": target, "csrf_token": self.token()}
        return self.post("/login", data=fields)

    def me(self) -> tuple[int, dict[str, str]]:
        """Status and answer of who asks."""
        found = self.get("/api/me")
        return found.status_code, found.json()


def add_user(node: Node, name: str, role: Role, password: str = PASSWORD) -> None:
    """Give a node a user."""
    with _trail(node) as trail:
        accounts.add(node.engine, trail, name, role, password, Person("test"))


def token_of(node: Node, name: str) -> str:
    """Give a user a token."""
    with _trail(node) as trail:
        return accounts.make_token(node.engine, trail, name, Person("test"))


@contextlib.contextmanager
def _trail(node: Node) -> Iterator[Trail]:
    trail = Trail(config.load(node.config))
    with trail:
        yield trail
