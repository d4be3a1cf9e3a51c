"""Tables of the config for people: who may see the console, what it says, and what is written of that."""

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from daemon.config_file import STRICT
from daemon.config_types import Count, Day, HeaderName, Hours, HttpUrl, Network, Port, Share


@dataclass(frozen=True, config=STRICT)
class Console:
    """Table ``[console]``: the web pages."""

    host: str = "127.0.0.1"
    port: Port = 8042
    host_names: tuple[str, ...] = ()
    certificate_file: str = ""
    key_file: str = ""
    idle_minutes: Annotated[int, Field(ge=1, le=1440)] = 60
    session_hours: Hours = 12.0
    proxy_user_header: HeaderName = ""
    proxy_role_header: HeaderName = ""
    trusted_proxies: tuple[Network, ...] = ()

    @model_validator(mode="after")
    def _knows_whose_headers_to_believe(self) -> "Console":
        if bool(self.proxy_user_header) != bool(self.proxy_role_header):
            raise ValueError("proxy_user_header and proxy_role_header, expected both or none")
        if self.proxy_user_header and not self.trusted_proxies:
            raise ValueError("proxy_user_header without trusted_proxies, expected the proxy's address there")
        return self


@dataclass(frozen=True, config=STRICT)
class Oidc:
    """Table ``[oidc]``: an OpenID provider that vouches for the console's users."""

    issuer: Literal[""] | HttpUrl = ""
    client_id: str = ""
    client_secret_file: str = ""
    ca_file: str = ""
    user_claim: Annotated[str, Field(min_length=1)] = "preferred_username"
    role_claim: Annotated[str, Field(min_length=1)] = "roles"
    viewers: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    admins: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _lets_somebody_in(self) -> "Oidc":
        if self.issuer and not self.client_id:
            raise ValueError("issuer without client_id, expected both")
        if self.issuer and not self.viewers + self.readers + self.admins:
            raise ValueError("issuer without viewers, readers or admins, expected values of role_claim there")
        return self


@dataclass(frozen=True, config=STRICT)
class Audit:
    """Table ``[audit]``: where the messages go that say who did what with whose films (PS3.15 A.5)."""

    to: Literal["file", "tls", "udp"] = "file"
    folder: str = "/var/lib/firstread/audit"
    host: str = ""
    port: Port = 6514
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    most_mib: Count = 100

    @model_validator(mode="after")
    def _names_its_server(self) -> "Audit":
        if self.to != "file" and not self.host:
            raise ValueError(f'to = "{self.to}" without host, expected the name of the syslog server')
        return self


@dataclass(frozen=True, config=STRICT)
class Monitoring:
    """Table ``[monitoring]``: against what scores are held, and when a person is told that they moved."""

    window_days: Annotated[int, Field(ge=1, le=366)] = 7
    reference_days: Annotated[int, Field(ge=1, le=366)] = 30
    reference_from: Day = ""
    reference_to: Day = ""
    psi_alert: Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)] = 0.2
    least_films: Count = 100
    goal_seconds: Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)] = 1.0

    @model_validator(mode="after")
    def _has_a_whole_reference(self) -> "Monitoring":
        if bool(self.reference_from) != bool(self.reference_to) or self.reference_from > self.reference_to:
            raise ValueError("reference_from and reference_to, expected both or none, the earlier first")
        return self


@dataclass(frozen=True, config=STRICT)
class Triage:
    """Table ``[triage]``: how urgent a class is, and how common among the films of this site."""

    set_by: str = "the release"
    set_on: Annotated[str, Field(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")] = ""
    severity_covid19: Share = 1.0
    severity_bacterial: Share = 0.9
    severity_viral: Share = 0.8
    severity_other_virus: Share = 0.6
    prevalence_covid19: Share = 0.03
    prevalence_bacterial: Share = 0.1
    prevalence_viral: Share = 0.08
    prevalence_other_virus: Share = 0.05
