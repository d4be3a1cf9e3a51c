"""OHIF's viewer before an Orthanc, on loopback, and a browser's page that looks at it."""

import base64
import contextlib
import http.client
import http.server
import json
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import servers
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page

SECONDS = 120.0  # for one thing to be shown, on a machine that does much else
OWN = {"connection", "content-length", "keep-alive", "transfer-encoding"}  # headers of one connection
CONFIG = {
    "routerBasename": None,
    "showStudyList": True,
    "investigationalUseDialog": {"option": "never"},
    "extensions": [],
    "modes": [],
    "defaultDataSourceName": "orthanc",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "orthanc",
            "configuration": {
                "friendlyName": "Orthanc",
                "qidoRoot": "/dicom-web",
                "wadoRoot": "/dicom-web",
                "qidoSupportsIncludeField": True,
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "supportsWildcard": True,
                "bulkDataURI": {"enabled": True},
            },
        }
    ],
}
# What OHIF does with an error of an image is left to the config; without a function it fails over that.
APP_CONFIG = f"window.config = {{...{json.dumps(CONFIG)}, httpErrorHandler: e => console.error(`${{e}}`)}};"


class _Handler(http.server.SimpleHTTPRequestHandler):
    """The viewer's pages, and everything below /dicom-web from the PACS."""

    protocol_version = "HTTP/1.1"
    pacs: str

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith("/dicom-web/"):
            self._ask_pacs()
        elif path == "/app-config.js":
            self._answer(200, {"Content-Type": "text/javascript"}, APP_CONFIG.encode())
        else:
            if not Path(self.translate_path(path)).is_file():
                self.path = "/index.html"  # an address inside the viewer
            super().do_GET()

    def _ask_pacs(self) -> None:
        with contextlib.closing(http.client.HTTPConnection(self.pacs, timeout=SECONDS)) as connection:
            connection.request("GET", self.path, headers=dict(self.headers))
            answer = connection.getresponse()
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in OWN}
            self._answer(answer.status, headers, answer.read())

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # of a page that was left
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving(pages: Path, pacs_url: str) -> Iterator[str]:
    """The viewer's address, on the origin of its PACS's DICOMweb."""

    class Handler(_Handler):
        pacs = urlsplit(pacs_url).netloc

        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(pages))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Viewer:
    """One page of the viewer: what is done in it, what it shows and what it says in the console."""

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        self.said: list[str] = []
        self._pictures = pictures
        page.set_default_timeout(1000 * SECONDS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._hear(message.type, message.text))

    def _hear(self, kind: str, text: str) -> None:
        (self.errors if kind == "error" else self.said).append(text)

    @property
    def series(self) -> Locator:
        """The series in the study browser."""
        return self.page.locator('[data-cy^="study-browser-thumbnail"]')

    @property
    def canvas(self) -> Locator:
        return self.page.locator('[data-cy="viewport-pane"] canvas')

    def open_study(self, uid: str) -> None:
        self.page.goto(f"{self.url}/viewer?StudyInstanceUIDs={uid}")
        self.series.first.wait_for()

    def open_series(self, description: str) -> None:
        self.series.filter(has_text=description).dblclick()

    def picture(self) -> np.ndarray:
        """What the pane's canvas holds, without what is written over it, (rows, columns, 3) uint8."""
        url = self.canvas.first.evaluate("canvas => canvas.toDataURL()")
        with Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
            return np.asarray(image.convert("RGB"))

    def shows(self, expected: np.ndarray) -> bool:
        """Whether the pane comes to show this picture, as large as it fits and in the middle of black."""
        return bool(servers.wait_until(lambda: self._distance(expected) < 4, SECONDS, "that picture"))

    def _distance(self, expected: np.ndarray) -> float:
        """Mean difference of grey levels between the pane and what it ought to show."""
        found = self.picture().astype(float)
        scale = min(found.shape[0] / expected.shape[0], found.shape[1] / expected.shape[1])
        rows, columns = (round(side * scale) for side in expected.shape[:2])
        top, left = (found.shape[0] - rows) // 2, (found.shape[1] - columns) // 2
        ought = np.zeros_like(found)
        fitted = Image.fromarray(expected).convert("RGB").resize((columns, rows))
        ought[top : top + rows, left : left + columns] = fitted
        return float(np.abs(found - ought).mean())

    def says(self, text: str) -> bool:
        """Whether the console comes to say this."""
        return bool(servers.wait_until(lambda: self._has_said(text), SECONDS, text))

    def _has_said(self, text: str) -> bool:
        self.page.wait_for_timeout(20)  # lets what happened in the page be heard
        return any(text in line for line in self.errors + self.said)

    def keep(self, name: str) -> None:
        """Keep what the page shows, for people."""
        self.page.screenshot(path=self._pictures / f"{name}.png")


@contextlib.contextmanager
def context_of(browser: Browser, url: str) -> Iterator[BrowserContext]:
    """Where pages of the viewer are opened, by somebody who has been on its guided tour."""
    toured = {"name": "shownTours", "value": json.dumps(["basicViewerTour"])}
    context = browser.new_context(
        viewport={"width": 1280, "height": 800},
        service_workers="block",
        storage_state={"cookies": [], "origins": [{"origin": url, "localStorage": [toured]}]},
    )
    # OHIF makes a passing notice of these, and says nothing in the console.
    context.add_init_script("addEventListener('unhandledrejection', event => console.error(event.reason))")
    with contextlib.closing(context):
        yield context
