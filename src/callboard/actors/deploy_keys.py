"""An Actor's deployment key: an SSH key pair, so that its builds can read a private repository that trusts it."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from callboard.actors.model import Actor
from callboard.core.vault import Vault

_PUBLIC, _PRIVATE = "deploy:public", "deploy:private"


def new_deploy_key(vault: Vault, actor_id: str) -> dict[str, Any]:
    """A fresh pair for `Actor.keys`, the private half sealed."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return {
        _PUBLIC: f"{public} callboard-{actor_id}",
        _PRIVATE: vault.seal(private, context=_context(actor_id)),
    }


def public_deploy_key(actor: Actor) -> str | None:
    """As one line for `authorized_keys`, and for the deploy keys of a code host."""
    return actor.keys.get(_PUBLIC)


def private_deploy_key(vault: Vault, actor: Actor) -> str | None:
    """In OpenSSH's format. Raises SealBroken when it was sealed with another master key."""
    sealed = actor.keys.get(_PRIVATE)
    return None if sealed is None else vault.open(sealed, context=_context(actor.id))


def _context(actor_id: str) -> str:
    return f"deploy key:{actor_id}"
