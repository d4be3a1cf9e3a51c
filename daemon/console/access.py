"""Who asks, and what that role may do."""

import dataclasses
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from storage.states import Role


@dataclasses.dataclass(frozen=True)
class User:
    """Who asks.

    Parameters
    ----------
    name : str
        As it stands in verdicts, events and audit messages.
    role : Role
    """

    name: str
    role: Role

    @property
    def sees_patients(self) -> bool:
        """Whether patient identity is shown: to reader and admin."""
        return self.role >= Role.READER


def current(request: Request) -> User:
    """Who asks; `daemon.console.guard` has found out, and lets nobody unknown come so far."""
    return request.state.user


def _at_least(role: Role) -> Callable[[User], User]:
    def require(user: Annotated[User, Depends(current)]) -> User:
        if user.role < role:
            raise HTTPException(403, f"found role {user.role}, expected {role}")
        return user

    return require


Viewer = Annotated[User, Depends(_at_least(Role.VIEWER))]
Reader = Annotated[User, Depends(_at_least(Role.READER))]
Admin = Annotated[User, Depends(_at_least(Role.ADMIN))]
