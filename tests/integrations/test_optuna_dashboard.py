"""optuna-dashboard over a live study: who gets in, and what a real browser shows."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chromium import Chromium, chromium

optuna = pytest.importorskip("optuna")
pytest.importorskip("optuna_dashboard")

from optuna_lab import SPACE, evaluated  # noqa: E402

import taut  # noqa: E402
from taut.integrations.optuna.dashboard import Dashboard, Guard  # noqa: E402

__all__ = ["chromium"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> taut.Study:
    place = tmp_path_factory.mktemp("dashboard") / "lora-sweep"
    fresh = taut.Study(place, SPACE, minimize="loss", subject_to="memory <= 40", sampler="random", seed=1)
    return evaluated(fresh)


@pytest.fixture(scope="module")
def served(study: taut.Study) -> Iterator[Dashboard]:
    assert study.path is not None
    dashboard = Dashboard(study.path)
    thread = threading.Thread(target=dashboard.run)
    thread.start()
    yield dashboard
    dashboard.close()
    thread.join(10)
    assert not thread.is_alive()


class Visitor:
    """Somebody who asks the server, with or without a cookie."""

    def __init__(self, dashboard: Dashboard, cookie: str | None = None) -> None:
        self._port, self._cookie = dashboard.port, cookie

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            sent = {"Host": f"localhost:{self._port}", **headers}
            connection.request(
                method, path, headers=sent | ({"Cookie": self._cookie} if self._cookie else {})
            )
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        status, _, body = self.ask(path)
        assert status == 200, body
        return json.loads(body)


@pytest.fixture(scope="module")
def owner(served: Dashboard) -> Visitor:
    status, headers, _ = Visitor(served).ask(served.url.partition(str(served.port))[2])
    assert (status, headers["Location"]) == (303, "/dashboard/studies/0")
    cookie, *flags = headers["Set-Cookie"].split("; ")
    assert set(flags) == {"Path=/", "HttpOnly", "SameSite=Strict"}
    return Visitor(served, cookie)


# ---------------------------------------------------------------------- who gets in


@pytest.mark.parametrize(
    "path", ["/", "/dashboard", "/api/studies", "/static/bundle.js", "/?token=guess", "/api/studies?token="]
)
def test_nobody_without_the_token(path: str, served: Dashboard) -> None:
    status, headers, body = Visitor(served).ask(path)
    assert status == 403 and "Set-Cookie" not in headers
    assert body == b"open the whole address that taut dashboard printed, with its token\n"
    assert Visitor(served, f"taut-{served.port}=guess").ask(path)[0] == 403
    assert Visitor(served, "taut=;;=").ask(path)[0] == 403


def test_who_has_the_token_may_read(owner: Visitor) -> None:
    assert [study["study_name"] for study in owner.json("/api/studies")["study_summaries"]] == ["lora-sweep"]
    assert b"<title>Optuna Dashboard" in owner.ask("/dashboard")[2]


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/api/studies/0"), ("POST", "/api/studies"), ("PUT", "/api/studies/0/note")],
)
def test_nobody_may_write(method: str, path: str, owner: Visitor, study: taut.Study) -> None:
    status, headers, _ = owner.ask(path, method)
    assert status == 405 and headers["Allow"] == "GET, HEAD"
    assert len(study.trials) == 14


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", ""])
def test_another_hosts_name_is_refused(host: str, owner: Visitor) -> None:
    """A page elsewhere whose name was made to lead to this machine."""
    assert owner.ask("/api/studies", Host=host)[0] == 403


@pytest.mark.parametrize("host", ["localhost:9999", "127.0.0.1", "[::1]:80"])
def test_a_forwarded_port_is_not(host: str, owner: Visitor) -> None:
    assert owner.ask("/api/studies", Host=host)[0] == 200


def test_the_address_leads_nowhere_else(served: Dashboard) -> None:
    token = served.url.partition("=")[2]
    for path in ("//evil.example/x", "/%0d%0aX-Evil: 1", "/dashboard/studies/0/trials"):
        status, headers, _ = Visitor(served).ask(f"{path.replace(' ', '%20')}?token={token}")
        assert (
            status == 303 and headers["Location"].startswith("/") and not headers["Location"].startswith("//")
        )
        assert "X-Evil" not in headers


def test_the_guard_reads_odd_requests() -> None:
    def inner(request: Any, respond: Any) -> list[bytes]:
        raise AssertionError("nobody was to come so far")

    for cookie in ("", "a", "taut", "taut=é", "\x00=\x00"):
        answers: list[str] = []
        Guard(inner, "secret")(
            {"HTTP_HOST": "localhost", "HTTP_COOKIE": cookie, "REQUEST_METHOD": "GET"},
            lambda status, headers, answers=answers: answers.append(status),
        )
        assert answers == ["403 Forbidden"]


def test_a_port_that_is_taken(served: Dashboard, study: taut.Study) -> None:
    assert study.path is not None
    with pytest.raises(taut.InputError, match=rf"port {served.port} cannot be had: .*--port 0"):
        Dashboard(study.path, served.port)


# ---------------------------------------------------------------------- what it shows


def test_it_follows_the_study(tmp_path: Path) -> None:
    space = taut.Space(x=taut.uniform(0, 1))
    study = taut.Study(tmp_path / "s", space, minimize="loss", maximize="speed", sampler="random")
    first, second = study.ask(2)
    dashboard = Dashboard(tmp_path / "s")
    threading.Thread(target=dashboard.run, daemon=True).start()
    try:
        token = dashboard.url.partition("=")[2]
        visitor = Visitor(dashboard, f"taut-{dashboard.port}={token}")
        assert [t["state"] for t in visitor.json("/api/studies/0")["trials"]] == ["Running", "Running"]
        first.tell(loss=1.0, speed=1.0)
        second.tell(loss=2.0, speed=2.0)
        time.sleep(2.1)  # for so long it keeps what it has seen
        seen = visitor.json("/api/studies/0")
        assert [t["state"] for t in seen["trials"]] == ["Complete", "Complete"]
        assert len(seen["best_trials"]) == 2 and seen["objective_names"] == ["loss", "speed"]
    finally:
        dashboard.close()


def test_a_browser_shows_the_study(served: Dashboard, chromium: Chromium, tmp_path: Path) -> None:
    base, _, token = served.url.partition("/?")
    page = chromium.dom(f"{base}/dashboard/studies/0/trials?{token}", settle=8000)
    assert "lora-sweep" in page and "14 Trials" in page
    assert "Trial 13" in page and "Running" in page and "Fail" in page
    assert (
        chromium.screenshot(f"{base}/dashboard/studies/0?{token}", tmp_path / "study.png").stat().st_size
        > 20_000
    )
    assert "open the whole address" in chromium.dom(f"{base}/dashboard/studies/0/trials?token=guess")
