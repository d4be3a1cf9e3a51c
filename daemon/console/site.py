"""What every request finds of the node: its config, its job database and its spool."""

from typing import Annotated

from fastapi import Depends, Request

from daemon.config import Config
from storage.database import Engine
from storage.spool import Spool


def _config(request: Request) -> Config:
    return request.app.state.config


def _engine(request: Request) -> Engine:
    return request.app.state.engine


def _spool(request: Request) -> Spool:
    return request.app.state.spool


NodeConfig = Annotated[Config, Depends(_config)]
Database = Annotated[Engine, Depends(_engine)]
Films = Annotated[Spool, Depends(_spool)]
