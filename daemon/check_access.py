"""What ``firstread check`` says of who may use the console, and of the trail of what they do."""

import os

from daemon import accounts, audit_trail, service, tls
from daemon.config import Config, Tls
from storage import database, users


def console(config: Config) -> str:
    """Where the console is, who gets in, and by what certificate.

    Raises
    ------
    daemon.accounts.NoLogin, daemon.tls.TlsUnusable
    RuntimeError
        If passwords cross a network in the clear.
    """
    settings = config.console
    found = [f"{settings.host}:{settings.port}"]
    try:
        engine = service.look_into_database(config.storage)
        accounts.require_login(config, engine)
        with database.reading(engine) as connection:
            found.append(f"{len(users.all_by_name(connection))} local users")
        if accounts.is_open(config, engine):
            found.append("without login: whoever is on this machine is its admin")
    except (database.SchemaMissing, database.NewerSchema):
        found.append("no users known without a database of this release")
    if config.oidc.issuer:
        found.append(f"OpenID Connect with {config.oidc.issuer}")
    if settings.proxy_user_header:
        found.append(f"{settings.proxy_user_header} of {', '.join(settings.trusted_proxies)}")
    if settings.certificate_file:
        files = Tls(certificate_file=settings.certificate_file, key_file=settings.key_file)
        found.append(tls.check_server(files, "[console]"))
    elif not accounts.is_loopback(settings.host) and not settings.trusted_proxies:
        raise RuntimeError(
            f"{', '.join(found)}; without TLS passwords can be read on their way; expected [console] "
            "certificate_file, or 127.0.0.1 and a reverse proxy"
        )
    return ", ".join(found)


def audit_trail_of(config: Config) -> str:
    """Where audit messages go, and how many wait.

    Raises
    ------
    PermissionError
        If they cannot be kept.
    RuntimeError
        If too many wait.
    """
    settings = config.audit
    waiting_folder = audit_trail.waiting_folder(settings)
    if not waiting_folder.exists():
        return f"{settings.folder}: not made yet; the console makes it when it starts"
    if not os.access(waiting_folder, os.W_OK):
        raise PermissionError(f"{waiting_folder} is not writable, expected a folder to write in")
    if settings.to == "file":
        return f"{settings.folder}/audit.log"
    waiting = sum(1 for _ in waiting_folder.iterdir())
    to = f"{settings.to} to {settings.host}:{settings.port}"
    if waiting >= audit_trail.BATCH:
        raise RuntimeError(f"{to}: {waiting} messages wait; is the syslog server there?")
    return f"{to}, {waiting} messages wait"
