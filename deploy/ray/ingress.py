"""The gateway as a Ray Serve application, where Ray Serve's proxy is the only way in. Knows Ray and the composition.

    THINKGATE_CONFIG=gateway.yaml serve run deploy.ray.ingress:app

Every replica is a gateway of its own, as every process is: `state` in the configuration makes them share. Ray's proxy
costs milliseconds a request where the gateway costs tenths, so put the gateway in front of Ray Serve where you can.
"""

import os
from pathlib import Path

from ray import serve

from app.config_file import load_settings
from app.gateway import Gateway, create_app

CONFIG = Path(os.environ.get("THINKGATE_CONFIG", "thinkgate.yaml")).resolve()


def build() -> Gateway:
    """The ASGI application, made in the replica: sockets and threads cannot be sent to it."""
    return create_app(load_settings(CONFIG))


@serve.deployment(name="thinkgate", max_ongoing_requests=2048, ray_actor_options={"num_cpus": 1})
@serve.ingress(build)
class Ingress:
    """A replica; all it does is the gateway's."""


app = Ingress.bind()
