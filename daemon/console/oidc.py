"""Users that an OpenID provider vouches for (OpenID Connect Core 1.0, authorization code with PKCE)."""

from collections import OrderedDict
from typing import Any

import httpx2
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.starlette_client import OAuth
from fastapi import HTTPException, Request, Response
from joserfc.errors import JoseError

from daemon import service, tls
from daemon.config import Oidc
from storage.states import Role

# Browsers that are at the provider at one time; of more the first ones have to begin anew.
MOST_UNDER_WAY = 1000
TIMEOUT_SECONDS = 10.0


class NotVouchedFor(PermissionError):
    """The provider let somebody not in, or gave no role that is known; `name` is whom, as far as it said."""

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


class Provider:
    """The provider of table ``[oidc]``.

    Raises
    ------
    daemon.service.SecretUnusable, daemon.tls.TlsUnusable
    """

    def __init__(self, settings: Oidc) -> None:
        self._settings = settings
        # What a browser was sent away with, by its own random value: state, nonce and code verifier.
        self._under_way: OrderedDict[str, dict[str, Any]] = OrderedDict()
        secret = None
        if settings.client_secret_file:
            secret = service.read_secret("[oidc] client_secret_file", settings.client_secret_file)
        self._client = None
        if settings.issuer:
            verified = tls.client_context("[oidc]", settings.ca_file)
            self._client = OAuth().register(
                "provider",
                client_id=settings.client_id,
                client_secret=secret,
                server_metadata_url=f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration",
                client_kwargs={
                    "scope": "openid profile",
                    "code_challenge_method": "S256",
                    "token_endpoint_auth_method": "client_secret_basic" if secret else "none",
                    "verify": verified,
                    "timeout": TIMEOUT_SECONDS,
                },
            )

    async def go(self, request: Request, target: str) -> Response:
        """Send a browser to the provider; it is to come back to `target`.

        Raises
        ------
        fastapi.HTTPException
            404 without a provider, 503 if it does not answer.
        """
        client = self._required()
        carried: dict[str, Any] = {"target": target}
        self._under_way[request.state.browser] = carried
        if len(self._under_way) > MOST_UNDER_WAY:
            self._under_way.popitem(last=False)
        request.scope["session"] = carried
        try:
            return await client.authorize_redirect(request, request.url_for("oidc_callback"))
        except (httpx2.HTTPError, ValueError, RuntimeError) as error:
            raise HTTPException(
                503, f"no answer of {self._settings.issuer}: {type(error).__name__}"
            ) from error

    async def come_back(self, request: Request) -> tuple[str, Role, str]:
        """Whom a browser that came back is vouched for as: name, role, and where it wanted to go.

        Raises
        ------
        NotVouchedFor
        """
        client = self._required()
        carried = self._under_way.pop(request.state.browser, {})
        request.scope["session"] = carried
        try:
            token = await client.authorize_access_token(request)
        except (OAuthError, JoseError, httpx2.HTTPError, ValueError, KeyError) as error:
            # Of the provider's own text nothing is shown: it is whatever the address bar said.
            raise NotVouchedFor(f"The login did not succeed ({type(error).__name__}).") from error
        claims = token.get("userinfo") or {}
        name = str(claims.get(self._settings.user_claim) or "")[:64].strip()
        if not name:
            raise NotVouchedFor(
                f"The provider gave no {self._settings.user_claim}.", str(claims.get("sub", ""))
            )
        return name, self._role(name, claims.get(self._settings.role_claim)), carried.get("target", "/")

    def _role(self, name: str, claimed: object) -> Role:
        values = claimed if isinstance(claimed, list) else [claimed]
        for role, listed in (
            (Role.ADMIN, self._settings.admins),
            (Role.READER, self._settings.readers),
            (Role.VIEWER, self._settings.viewers),
        ):
            if any(value in listed for value in values if isinstance(value, str)):
                return role
        raise NotVouchedFor(f"{name} has no role here; ask the admin of this node.", name)

    def _required(self) -> Any:
        if self._client is None:
            raise HTTPException(404, "no OpenID provider is configured")
        return self._client
