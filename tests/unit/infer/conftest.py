from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from imageworks.config import PersonalTaggerConfig
from imageworks.infer.chat import ChatEngine
from imageworks.infer.profiles import ProfileBook
from imageworks.infer.retry import RetryPolicy
from imageworks.stages import InferenceRequest
from tests.support.fake_time import FakeTime


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def fake_time():
    return FakeTime()


@pytest.fixture(scope="session")
def jpeg():
    picture = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((120, 80)).save(picture, "JPEG")
    return picture.getvalue()


@pytest.fixture
def picture_request(jpeg):
    def make(**changes):
        return InferenceRequest(**{"path": Path("photo.jpg"), "jpeg": jpeg, **changes})

    return make


@pytest.fixture
async def make_engine(fake_time):
    """Makes engines for a server or an address, without real waits, and closes them."""
    engines = []

    def make(server, *, profile="default", **settings):
        urls = (server,) if isinstance(server, str) else (server.base_url,)
        config = PersonalTaggerConfig(
            **{"backend": "vllm", "base_url": urls, "timeout": 20.0, **settings}
        )
        policy = RetryPolicy(
            total_s=config.timeout, sleep=fake_time.sleep, clock=fake_time.clock, draw=lambda: 1.0
        )
        engine = ChatEngine(config, ProfileBook().get(profile), policy=policy)
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        await engine.aclose()


@pytest.fixture(scope="session")
def dead_url():
    """An address at which nothing listens: the discard port (RFC 863) of this machine."""
    return "http://127.0.0.1:9/v1"
