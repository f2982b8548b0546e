"""The key pair that protects an account's secret input to an Actor. Made when first needed, kept sealed."""

import asyncio

import msgspec
from sqlalchemy import Connection

from callboard.actors import repository as actor_rows
from callboard.actors.model import Actor
from callboard.core.vault import Vault
from callboard.db.base import Database
from callboard.inputs.input_schema import InputSchema
from callboard.inputs.secret_input import KeyPair
from callboard.runs.input import RunInput, encrypted


def input_keys(vault: Vault, actor: Actor, user_id: str) -> KeyPair | None:
    """The account's key pair for this Actor, None when it has never given it a secret."""
    sealed = actor.keys.get(f"input:{user_id}")
    if sealed is None:
        return None
    text = vault.open(sealed, context=_context(actor.id, user_id))
    return msgspec.json.decode(text, type=KeyPair)


def ensure_input_keys(
    tx: Connection, vault: Vault, actor_id: str, user_id: str, fresh: KeyPair
) -> KeyPair:
    """The account's key pair for this Actor; `fresh` becomes it when there is none yet."""
    actor = actor_rows.by_id(tx, actor_id)
    if actor is None:
        return fresh
    existing = input_keys(vault, actor, user_id)
    if existing is not None:
        return existing
    sealed = vault.seal(msgspec.json.encode(fresh).decode(), context=_context(actor_id, user_id))
    actor_rows.change_actor(tx, actor_id, keys={**actor.keys, f"input:{user_id}": sealed})
    return fresh


async def protected_input(
    db: Database,
    vault: Vault,
    actor: Actor,
    user_id: str,
    schema: InputSchema | None,
    run_input: RunInput | None,
) -> RunInput | None:
    """The input with its secrets encrypted for this account and Actor."""
    if schema is None or run_input is None or run_input.value is None:
        return run_input
    if not any(run_input.value.get(name) for name in schema.secret_fields):
        return run_input
    fresh = await asyncio.to_thread(KeyPair.generate)
    keys = await db.write(lambda tx: ensure_input_keys(tx, vault, actor.id, user_id, fresh))
    return encrypted(run_input, schema, lambda: keys.public_key_pem)


def _context(actor_id: str, user_id: str) -> str:
    return f"input-keys:{actor_id}:{user_id}"
