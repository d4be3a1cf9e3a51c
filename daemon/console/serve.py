"""The console's HTTP server."""

import socket
import ssl
import threading
import time
from collections.abc import Callable

import uvicorn

from daemon import accounts, audit_messages, service, tls
from daemon.audit_trail import Trail
from daemon.config import Config, Console, Tls
from daemon.console import app
from storage.database import Engine
from storage.spool import Spool

# Streams of pages among them.
MOST_CONNECTIONS = 500


def run(config: Config, engine: Engine, spool: Spool, stop: threading.Event) -> None:
    """Serve until `stop` is set; then let requests in hand finish.

    Raises
    ------
    OSError
        If the port cannot be listened on, or a file that the config names cannot be used.
    daemon.accounts.NoLogin
        If other machines reach the port and nobody could log in.
    """
    accounts.require_login(config, engine)
    application = app.make(config, engine, spool)
    settings = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        server_header=False,
        # Whose headers are believed is the guard's matter.
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=5,
        ssl_context_factory=_secure(config.console),
    )
    listener = socket.create_server((config.console.host, config.console.port))
    # Those it accepts inherit it. asyncio sees no TCP in a socket it did not make, and an answer's second
    # part would wait 40 ms for the acknowledgement of its first.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = uvicorn.Server(settings)
    # In a thread, so that the signals are ours.
    serving = threading.Thread(target=server.run, args=([listener],), name="console")
    serving.start()
    while serving.is_alive() and not server.started:
        time.sleep(0.05)
    trail, process = application.state.trail, service.claimant("console")
    trail.start()
    _tell(trail, process, audit_messages.APPLICATION_START)
    service.announce_ready("console")
    with service.Pulse(engine, "console") as pulse:
        while serving.is_alive() and not stop.wait(1.0):
            pulse.beat()
    application.state.feed.close()
    server.should_exit = True
    serving.join()
    _tell(trail, process, audit_messages.APPLICATION_STOP)
    trail.shutdown()


def _tell(trail: Trail, process: str, kind: audit_messages.Code) -> None:
    trail.record(audit_messages.application_activity(trail.source, process, kind, service.now()))


def _secure(settings: Console) -> Callable[..., ssl.SSLContext] | None:
    if not settings.certificate_file:
        return None
    files = Tls(certificate_file=settings.certificate_file, key_file=settings.key_file)
    context = tls.server_context(files, "[console]")
    return lambda *_: context
