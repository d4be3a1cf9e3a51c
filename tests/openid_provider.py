"""A small OpenID provider on loopback: discovery, authorization code with PKCE, signed ID tokens.

It lets everybody in as whom `claims` says, and may be told to make the mistakes that a client has to notice.
"""

import base64
import hashlib
import http.server
import json
import secrets
import threading
import time
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "firstread", "shared-with-the-provider"


class OpenIdProvider:
    """Serves until it is closed.

    ``claims`` go into the next ID token; ``mistakes`` replace those that are right; ``key`` signs it.
    """

    def __init__(self) -> None:
        self.claims: dict[str, object] = {"sub": "1", "preferred_username": "dr.kim", "roles": ["radiology"]}
        self.mistakes: dict[str, object] = {}
        self.published = RSAKey.generate_key(2048, {"kid": "1", "alg": "RS256", "use": "sig"})
        self.key = self.published
        self.asked: list[dict[str, str]] = []
        self._codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(path.query).items()}
                match path.path:
                    case "/.well-known/openid-configuration":
                        self.answer(200, provider.discovery())
                    case "/jwks":
                        self.answer(200, {"keys": [provider.published.as_dict(private=False)]})
                    case "/authorize":
                        self.send_response(302)
                        self.send_header("Location", provider.authorize(query))
                        self.send_header("Content-Length", "0")
                        self.end_headers()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {name: values[0] for name, values in parse_qs(body).items()}
                given = self.headers.get("Authorization", "").partition(" ")[2]
                if base64.b64decode(given).decode() != f"{CLIENT_ID}:{CLIENT_SECRET}":
                    self.answer(401, {"error": "invalid_client"})
                else:
                    self.answer(*provider.token(form))

            def answer(self, status: int, content: dict[str, object]) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def discovery(self) -> dict[str, object]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def authorize(self, query: dict[str, str]) -> str:
        """Where a browser is sent back to, with a code."""
        self.asked.append(query)
        code = secrets.token_urlsafe()
        self._codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, object]]:
        """An ID token for a code, once, and only for who can show what its challenge was made of."""
        asked = self._codes.pop(form.get("code", ""), None)
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).decode().rstrip("=")
        if (
            asked is None
            or asked["code_challenge"] != challenge
            or asked["redirect_uri"] != form["redirect_uri"]
        ):
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": asked["client_id"], "iat": now, "exp": now + 60,
            "nonce": asked["nonce"],
        }  # fmt: skip
        id_token = jwt.encode({"alg": "RS256", "kid": "1"}, claims | self.claims | self.mistakes, self.key)
        return 200, {"access_token": "none", "token_type": "Bearer", "expires_in": 60, "id_token": id_token}

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
