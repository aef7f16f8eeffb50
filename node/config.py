"""Settings of a node: `tally.toml` in its folder, overridden by TALLY_* variables."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ledger.errors import BadInput

CONFIG_NAME: Final = "tally.toml"
DATABASE_NAME: Final = "ledger.db"
PORT: Final = 7450


class ConfigBroken(BadInput):
    code = "config-broken"
    template = "{path}: {reason}"
    hint = "docs/reference/settings.md lists every setting."


class Settings(BaseSettings):
    """Every setting, its unit and its default."""

    model_config = SettingsConfigDict(env_prefix="TALLY_", extra="forbid")

    network: str = Field(description="Name of the network.")
    member: str = Field(description="Name of this member.")
    endpoints: list[str] = Field(description="Addresses at which peers reach this node, as in its card.")
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=PORT, ge=0, le=65535, description="Port to listen on.")
    tls_cert: Path | None = Field(default=None, description="PEM certificate chain; with tls_key, serves TLS.")
    tls_key: Path | None = Field(default=None, description="PEM private key of tls_cert.")
    tls_ca: Path | None = Field(default=None, description="PEM file of authorities trusted for peers' certificates.")
    passphrase_file: Path | None = Field(default=None, description="File with the passphrase of the private keys.")
    poll_wait_s: float = Field(default=240.0, gt=0, description="Seconds a long poll waits at a peer.")
    peer_timeout_s: float = Field(default=15.0, gt=0, description="Seconds one call to a peer may take, waiting apart.")
    queue_wait_s: float = Field(default=10.0, ge=0, description="Seconds a write waits for the start-up guard.")
    batch_records: int = Field(default=1024, ge=1, description="Records of one commit at most.")
    clock_skew_s: int = Field(default=60, ge=1, description="Seconds that a peer's clock may differ in signed calls.")
    log_level: str = Field(default="info", description="debug, info, warning or error.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (env_settings, init_settings)


_FILES: Final = {name for name, field in Settings.model_fields.items() if Path in get_args(field.annotation)}


def load_settings(folder: Path) -> Settings:
    """Read `tally.toml` of a node's folder; relative paths in it start there. Raises: ConfigBroken."""
    path = folder / CONFIG_NAME
    try:
        values: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        for name in _FILES & values.keys():
            if isinstance(values[name], str):
                values[name] = folder.absolute() / values[name]  # an absolute one stays as it is
        return Settings(**values)
    except FileNotFoundError:
        raise ConfigBroken(path=path, reason="no node here; `tally init` makes one") from None
    except (tomllib.TOMLDecodeError, ValidationError, UnicodeDecodeError) as cause:
        raise ConfigBroken(path=path, reason=_first_line(cause)) from cause


def _first_line(cause: Exception) -> str:
    if isinstance(cause, ValidationError):
        first = cause.errors(include_input=False, include_url=False)[0]
        if first["type"] == "extra_forbidden":
            name = str(first["loc"][0])
            near = get_close_matches(name, Settings.model_fields, 1)
            return f"no setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(cause).splitlines()[0]
