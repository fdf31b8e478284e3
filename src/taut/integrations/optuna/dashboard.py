"""`taut dashboard`: optuna-dashboard over a live study, for one person on this machine.

optuna-dashboard lets everybody in who can reach it, and on a login node that is everybody. So it is served to this machine alone,
and behind a token: the first address has it, and leaves it in a cookie. Whoever has neither gets nothing. Requests that would change something
are refused before they come to it, and so are those for another host's name, which a page elsewhere could send (DNS rebinding).
"""

from __future__ import annotations

import hmac
import secrets
import socketserver
from collections.abc import Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna_dashboard import wsgi

from taut.errors import InputError
from taut.integrations.optuna.storage import TautStorage

__all__ = ["Dashboard", "Guard"]

_LOOPBACK = "127.0.0.1"
_HOSTS = (_LOOPBACK, "localhost", "[::1]")
_FIRST = "dashboard/studies/0"  # there is one
_ALWAYS = [("Content-Type", "text/plain; charset=utf-8"), ("Referrer-Policy", "no-referrer")]

Respond = Callable[..., Any]
Application = Callable[[dict[str, Any], Respond], Iterable[bytes]]


class Guard:
    """Lets requests through to `inner` that come from who has the token, ask for this machine, and only read."""

    def __init__(self, inner: Application, token: str, cookie: str = "taut") -> None:
        self._inner = inner
        self._token = token
        self._cookie = cookie

    def __call__(self, request: dict[str, Any], respond: Respond) -> Iterable[bytes]:
        host = request.get("HTTP_HOST", "")
        if host not in _HOSTS and host.rpartition(":")[0] not in _HOSTS:
            return _answer(
                respond,
                "403 Forbidden",
                f"it is served as {_LOOPBACK}, not as {host!r}: use the address that taut dashboard printed",
            )
        given = parse_qs(request.get("QUERY_STRING", "")).get("token")
        if given and self._is_token(given[0]):
            kept = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
            there = f"/{quote(request.get('PATH_INFO', '').strip('/')) or _FIRST}"
            return _answer(respond, "303 See Other", "", [("Location", there), ("Set-Cookie", kept)])
        if not self._is_token(_cookies(request).get(self._cookie, "")):
            return _answer(
                respond, "403 Forbidden", "open the whole address that taut dashboard printed, with its token"
            )
        if request.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            return _answer(
                respond,
                "405 Method Not Allowed",
                "the study can be looked at here and not changed",
                [("Allow", "GET, HEAD")],
            )
        return self._inner(request, respond)

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())


def _cookies(request: dict[str, Any]) -> dict[str, str]:
    try:
        return {name: one.value for name, one in SimpleCookie(request.get("HTTP_COOKIE", "")).items()}
    except CookieError:
        return {}


def _answer(respond: Respond, status: str, text: str, more: Iterable[tuple[str, str]] = ()) -> list[bytes]:
    respond(status, [*_ALWAYS, *more])
    return [f"{text}\n".encode("utf-8", "replace")]


class Dashboard:
    """The study in `path` at a `url` of this machine; `run` serves it until it is interrupted.

    port: where; 0 takes any that is free. Raises `InputError` if the port is taken.
    """

    def __init__(self, path: Path, port: int = 0) -> None:
        token = secrets.token_urlsafe(24)
        application = wsgi(TautStorage(path))
        try:
            self._server = make_server(_LOOPBACK, port, application, _Server, _Handler)
        except OSError as error:
            raise InputError(
                f"port {port} cannot be had: {error.strerror}; choose another, or --port 0 for any that is free",
                ("--port",),
            ) from None
        self.port = self._server.server_port
        self._server.set_app(
            Guard(application, token, f"taut-{self.port}")
        )  # cookies are of a host, whatever its port
        # By its number: "localhost" may be ::1 first, where another user of this machine could listen and be told the token.
        self.url = f"http://{_LOOPBACK}:{self.port}/?token={token}"

    def run(self) -> None:
        """Serve until `KeyboardInterrupt`, which is not passed on, or `close`."""
        try:
            self._server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            pass
        finally:
            self._server.server_close()

    def close(self) -> None:
        """End `run`, from another thread."""
        self._server.shutdown()


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """A line for each request would hide the address."""
