"""Sessions and ledgers, this gateway's own or shared. Knows the configuration; knows no server."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from app.config_file import ConfigError
from app.limits.ledgers import Ledgers
from app.metrics import Meters
from app.policies.policies import Policies
from app.settings import Settings
from app.state.sessions import SharedSessions
from app.state.window import SharedWindow
from router.session import MemorySessions

if TYPE_CHECKING:
    from app.state.sharing import Sharing


class Shared:
    """`sharing` is None where nothing is shared; `policies` gives those in use. Nothing is connected before it is
    started. Raises ConfigError."""

    def __init__(
        self, settings: Settings, meters: Meters, policies: Callable[[], Policies | None] = lambda: None
    ) -> None:
        self.sharing: Sharing | None = None
        self.sessions: MemorySessions = MemorySessions()
        self.ledgers = Ledgers()
        if not settings.state.url.get_secret_value():
            return
        try:
            from app.state import sharing as module
        except ImportError as error:
            raise ConfigError("state.url: sharing needs a driver: pip install 'thinkgate[redis]'") from error
        self.sessions, self.ledgers = sessions, _ = SharedSessions(), Ledgers(SharedWindow)
        try:
            sharing = self.sharing = module.Sharing(settings.state, sessions, self.ledgers, meters.state_errors)
        except ValueError:
            raise ConfigError("state.url: is no URL that the driver can read") from None  # it may hold a password
        sharing.controllers = lambda: () if (now := policies()) is None else now.peers()
        meters.state_behind.set_function(lambda: sharing.behind_s)

    async def start(self) -> None:
        """Begin to share; the server need not be there."""
        if self.sharing is not None:
            await self.sharing.start()

    async def stop(self) -> None:
        """Share what is left, and end."""
        if self.sharing is not None:
            await self.sharing.stop()
