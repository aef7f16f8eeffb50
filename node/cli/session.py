"""What every command shares: its common options, and how it reaches the node.

`command` registers a function with typer and adds the common options to it, so that
`--json` and `--debug` exist everywhere by construction.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from node.cli.exits import UsageWrong
from node.cli.output import Output

if TYPE_CHECKING:
    from ledger.keys import SigningKey
    from ledger.network import NetworkFile
    from node.cli.client import NodeClient
    from node.config import Settings
    from node.keyring import Keyring

COMMON_PANEL: Final = "Common options"
"""Under this heading, help shows the options that `command` adds."""

_JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.", rich_help_panel=COMMON_PANEL)]
_DebugOption = Annotated[
    bool, typer.Option("--debug", help="Show where an unexpected error came from.", rich_help_panel=COMMON_PANEL)
]
_FolderOption = Annotated[
    Path, typer.Option("--dir", envvar="TALLY_DIR", help="Folder of the node.", rich_help_panel=COMMON_PANEL)
]
_UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url", envvar="TALLY_URL", help="Address of the node, if not as in tally.toml.", rich_help_panel=COMMON_PANEL
    ),
]
_TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token", envvar="TALLY_TOKEN", help="API token, if not that of DIR/admin-token.", rich_help_panel=COMMON_PANEL
    ),
]


class Needs(IntEnum):
    """What a command works on; each includes the one before it."""

    NOTHING = 0
    FOLDER = 1
    NODE = 2


class RootKeyAway(UsageWrong):
    code = "root-key-away"
    template = "the root key is needed here, and {path} is not there"
    hint = "Bring it back from where it is kept, for this command alone."


class TokenAway(UsageWrong):
    code = "token-away"
    template = "no token: {path} cannot be read"
    hint = "`tally token admin` writes a new one into a node's folder. Else give --dir, --token or TALLY_TOKEN."


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One run of one command."""

    out: Output
    folder: Path = Path()
    url: str | None = None
    token: str | None = None

    @property
    def as_json(self) -> bool:
        return self.out.as_json

    def settings(self) -> Settings:
        """Raises: UsageWrong where there is no node, ConfigBroken."""
        from node.config import CONFIG_NAME, load_settings

        if not (self.folder / CONFIG_NAME).is_file():
            raise UsageWrong(
                reason=f"there is no node in {self.folder}: --dir names its folder, `tally init` makes one"
            )
        return load_settings(self.folder)

    def keyring(self) -> Keyring:
        """The private keys in the folder. Raises: ConfigBroken, KeyFileBroken."""
        from node.founding import open_keyring

        self.settings()
        return open_keyring(self.folder)

    def root_key(self) -> SigningKey:
        """What signs charters and cards. Raises: RootKeyAway, and as `keyring`."""
        from node.keyring import KEYS_FOLDER, ROOT_KEY_NAME

        found = self.keyring().root_here
        if found is None:
            raise RootKeyAway(path=self.folder / KEYS_FOLDER / ROOT_KEY_NAME)
        return found

    def client(self) -> NodeClient:
        """A client of the running node; use it in a `with`, or close it. Raises: ConfigBroken, UsageWrong."""
        from node.cli.client import NodeClient, address_of, is_local
        from node.config import CONFIG_NAME

        is_here = self.url is None or (is_local(self.url) and (self.folder / CONFIG_NAME).is_file())
        address = address_of(self.url, self.settings() if is_here else None, self.folder)
        token = self.token
        if token is None and (self.url is None or is_local(address.url)):
            token = self._own_token()
        if token is None:
            # The folder's token is not sent to whatever address an option or a variable names.
            raise UsageWrong(reason="this address needs a token: give --token or TALLY_TOKEN")
        return NodeClient(address, token)

    def network_file(self) -> NetworkFile:
        """The network file that the running node holds."""
        from ledger.network import decode_network_file

        with self.client() as client:
            return decode_network_file(client.get("/network"))

    def _own_token(self) -> str:
        from node.founding import ADMIN_TOKEN_NAME

        path = self.folder / ADMIN_TOKEN_NAME
        try:
            return path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as cause:
            raise TokenAway(path=path) from cause


Body = TypeVar("Body", bound=Callable[..., int | None])

_COMMON: Final[tuple[tuple[Needs, str, Any, Any], ...]] = (
    (Needs.FOLDER, "folder", _FolderOption, Path()),
    (Needs.NODE, "url", _UrlOption, None),
    (Needs.NODE, "token", _TokenOption, None),
    (Needs.NOTHING, "as_json", _JsonOption, False),
    (Needs.NOTHING, "debug", _DebugOption, False),
)


def command(app: typer.Typer, name: str, *, needs: Needs, panel: str | None = None) -> Callable[[Body], Body]:
    """Register `body(session, ...)` as a command; what it returns is the exit code, None is 0.

    `--debug` is read by `main`: it must hold also where the command line itself is wrong.
    """

    def register(body: Body) -> Body:
        own = list(inspect.signature(body, eval_str=True).parameters.values())[1:]
        common = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for least, key, annotation, default in _COMMON
            if needs >= least
        ]
        names = {parameter.name for parameter in common}

        def run(**given: Any) -> int | None:
            shared = {key: given.pop(key) for key in names}
            shared.pop("debug")
            session = Session(out=Output(as_json=shared.pop("as_json")), **shared)
            return body(session, **given)

        parameters = [*(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own), *common]
        run.__name__ = body.__name__
        run.__doc__ = body.__doc__
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by typer
        app.command(name, rich_help_panel=panel)(run)
        return body

    return register
