"""An OAuth authorization server on loopback: metadata, keys over HTTP, and tokens of any kind.

Everybody is signed in as `ann`, and consents to whatever is asked for.
"""

import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from stepwell.clock import SystemClock
from stepwell_server.http import HttpServer


def now() -> int:
    """Seconds since 1970."""
    return SystemClock().now() // 1_000_000


class Signer:
    """A key of the server, and what it signs."""

    def __init__(self, kid: str, alg: str = "RS256") -> None:
        self.kid = kid
        self.alg = alg
        self.private: Any = (
            ec.generate_private_key(ec.SECP256R1())
            if alg == "ES256"
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )

    @property
    def jwk(self) -> dict[str, Any]:
        """Its public half, as the server publishes it."""
        algorithm = jwt.get_algorithm_by_name(self.alg)
        found = algorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**found, "kid": self.kid, "alg": self.alg, "use": "sig"}

    @property
    def pem(self) -> bytes:
        """The same as a file."""
        public = self.private.public_key()
        pem: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return pem

    def sign(self, claims: dict[str, Any], **headers: Any) -> str:
        """A token with these claims."""
        return jwt.encode(
            claims, self.private, algorithm=self.alg, headers={"kid": self.kid, **headers}
        )


class AuthorizationServer:
    """Listens while `listening`. What it was asked is in `asked`; `down` lets it fail."""

    def __init__(self, audience: str = "") -> None:
        self.audience = audience
        self.issuer = ""
        self.signers = [Signer("first")]
        self.asked: list[str] = []
        self.consents: list[str] = []
        self.down = False
        self._codes: dict[str, dict[str, str]] = {}

    def claims(self, **more: Any) -> dict[str, Any]:
        """Those of a good token; None takes one away."""
        at = now()
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": "ann",
            "client_id": "inspector",
            "scope": "mcp",
            "iat": at,
            "exp": at + 300,
            **more,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, **more: Any) -> str:
        """A good token, but for the claims that are given."""
        return self.signers[-1].sign(self.claims(**more))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Serves on a free port of this machine."""
        routes = [
            Route("/.well-known/oauth-authorization-server", self._metadata),
            Route("/jwks", self._jwks),
            Route("/register", self._register, methods=["POST"]),
            Route("/authorize", self._authorize),
            Route("/token", self._token, methods=["POST"]),
        ]
        http = HttpServer(routes, drain=timedelta(seconds=0.1))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.issuer = f"http://127.0.0.1:{listener.getsockname()[1]}"
            async with http.draining():
                await http.listen(listener)
                yield

    async def _metadata(self, _: Request) -> Response:
        self.asked.append("metadata")
        if self.down:
            return Response(status_code=503)
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "registration_endpoint": f"{self.issuer}/register",
                "jwks_uri": f"{self.issuer}/jwks",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    async def _jwks(self, _: Request) -> Response:
        self.asked.append("keys")
        if self.down:
            return Response(status_code=503)
        return JSONResponse({"keys": [signer.jwk for signer in self.signers]})

    async def _register(self, request: Request) -> Response:
        client = await request.json()
        return JSONResponse({**client, "client_id": "inspector"}, 201)

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        code = secrets.token_urlsafe(8)
        self._codes[code] = asked
        self.consents.append(asked.get("scope", ""))
        answer = {"code": code, "state": asked["state"], "iss": self.issuer}
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}")

    async def _token(self, request: Request) -> Response:
        form = await request.form()
        asked = self._codes.pop(str(form["code"]))
        # RFC 8707: the token is for the resource that the client has named, and for no other.
        token = self.token(aud=str(form["resource"]), scope=asked.get("scope", ""))
        return JSONResponse(
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": 300,
                "scope": asked.get("scope", ""),
            }
        )
