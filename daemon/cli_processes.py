"""Verbs of ``firstread`` that go on until they are told to stop: the node and its processes."""

import argparse
import signal
import threading
from types import FrameType

from daemon import cli_jobs, collector


def run(options: argparse.Namespace) -> int:
    """Everything on one machine, under one supervisor."""
    from daemon import accounts, service, supervise
    from daemon.reload import Reload
    from model import weights

    reload = Reload(options.config)
    config = cli_jobs.config_of(options)
    service.configure_logging("run", config.node.log_format)
    # What no restart would heal is told before the first process starts.
    weights.open_version(config.model.version)
    engine = service.open_storage(config.storage)[0]
    accounts.require_login(config, engine)
    engine.dispose()
    supervise.run(options.config, config, reload)
    return 0


def receive(options: argparse.Namespace) -> int:
    """Take films from modalities."""
    from daemon import metrics, receive, service
    from daemon.reload import Reload
    from daemon.siblings import Siblings
    from daemon.tls import TlsUnusable

    stop = service.stop_on_signals()
    reload = Reload(options.config, ("node", "tls", "storage"))
    config = cli_jobs.config_of(options)
    service.configure_logging("receive", config.node.log_format)
    listeners = receive.listen(config)
    siblings = Siblings(config.node.receivers)
    engine, spool = service.open_storage(config.storage)
    metrics.start(metrics.folder(spool.root), "receive")
    server = receive.Receiver(config, engine, spool, listeners)
    service.announce_ready("receive")
    is_whole = True
    with service.Pulse(engine, "receive") as pulse:
        while is_whole and not stop.wait(1.0):
            is_whole = siblings.beat() or stop.is_set()
            pulse.beat(server.describe())
            if new := reload.look(config):
                siblings.tell(signal.SIGHUP)
                try:
                    server.take(new)
                except TlsUnusable as error:
                    reload.refuse(error)
                    continue
                config = new
                reload.done()
        siblings.tell(signal.SIGTERM)
        server.shutdown()
        siblings.join(receive.STOP_SECONDS)
    return 0 if is_whole else 1


def read(options: argparse.Namespace) -> int:
    """Read queued films."""
    with collector.resting():
        from daemon import decoder

        decoder.start_fork_server()
        from daemon import housekeeping, metrics, read, service
        from daemon.reload import Reload
        from model.reader import Reader
        from model.weights import WeightsInvalid

        stop = service.stop_on_signals()
        reload = Reload(options.config, ("model", "storage"))
        config = cli_jobs.config_of(options)
        service.configure_logging("read", config.node.log_format)
        engine, spool = service.open_storage(config.storage)
        metrics.start(metrics.folder(spool.root), "read")
        share = config.model.share(options.reader)
        reader = Reader(config.model.version, config.model.batch_size, share)
    chores = housekeeping.Chores(engine, spool, config)
    pulse = service.Pulse(engine, "read")

    def beat() -> None:
        chores.end_if_hung()
        pulse.beat(loop.describe())

    loop = read.ReadLoop(config, engine, spool, reader, beat)
    service.announce_ready("read")
    with pulse:
        try:
            while new := loop.run(stop, options.once, reload.look):
                is_same_network = (new.model.version, new.model.batch_size) == (
                    config.model.version, config.model.batch_size,
                )  # fmt: skip
                try:
                    if not is_same_network:
                        reader = Reader(new.model.version, new.model.batch_size, share)
                except WeightsInvalid as error:
                    reload.refuse(error)
                else:
                    config = chores.config = new
                    reload.done()
                loop = read.ReadLoop(config, engine, spool, reader, beat)
        finally:
            chores.shutdown()
    return 0


def shadow(options: argparse.Namespace) -> int:
    """Read films with a second model version too."""
    from daemon import service, shadow
    from model.reader import Reader

    stop, reloaded = service.stop_on_signals(), threading.Event()

    def begin_anew(_number: int, _frame: FrameType | None) -> None:
        reloaded.set()
        stop.set()

    signal.signal(signal.SIGHUP, begin_anew)
    config = cli_jobs.config_of(options)
    service.configure_logging("shadow", config.node.log_format)
    if not config.model.shadow:
        service.announce_ready("shadow, none is configured,")
        return 0
    shadow.step_back()
    engine, spool = service.open_storage(config.storage)
    reader = Reader(config.model.shadow, 1)
    with service.Pulse(engine, "shadow") as pulse:
        loop = shadow.ShadowLoop(config, engine, spool, reader, pulse.beat)
        service.announce_ready("shadow")
        return shadow.WORN if loop.run(stop) or reloaded.is_set() else 0


def send(options: argparse.Namespace) -> int:
    """Deliver results."""
    from daemon import housekeeping, metrics, service
    from daemon.reload import Reload
    from daemon.senders import Senders

    stop = service.stop_on_signals()
    reload = Reload(options.config, ("storage",))
    config = cli_jobs.config_of(options)
    service.configure_logging("send", config.node.log_format)
    engine, spool = service.open_storage(config.storage)
    metrics.start(metrics.folder(spool.root), "send")
    with service.Pulse(engine, "send") as pulse:
        chores = housekeeping.Chores(engine, spool, config)
        service.announce_ready("send")
        senders = Senders(config, engine, spool, options.once, pulse.beat)
        if options.once:
            senders.join()
        while not (options.once or stop.wait(1.0)):
            # A sender may wait for its peer longer than a watchdog should; its own timeouts bound that wait.
            pulse.beat()
            chores.end_if_hung()
            if new := reload.look(config):
                config = chores.config = new
                senders.take(config)
                reload.done()
            senders.tend()
        senders.stop()
        chores.shutdown()
    return 0


def console(options: argparse.Namespace) -> int:
    """Serve the web pages."""
    from daemon import service
    from daemon.console import serve

    stop = service.stop_on_signals(signal.SIGHUP)
    config = cli_jobs.config_of(options)
    service.configure_logging("console", config.node.log_format)
    engine, spool = service.open_storage(config.storage)
    serve.run(config, engine, spool, stop)
    return 0
