"""Accounts and tokens: who sees what, and what is kept of them."""

from callboard.core.vault import Vault
from tests.actors import ActorMaker
from tests.server import Client, Server


async def test_an_account_sees_itself_whole(api: Client):
    me = (await api.get("/v2/users/me")).data
    assert me["username"] == api.username
    assert len(me["id"]) == 17 and len(me["proxy"]["password"]) >= 20
    assert me["effectivePlatformFeatures"]["ACTORS"]["isEnabled"] is True
    assert me["isPaying"] is True and me["plan"]["id"]


async def test_a_run_sees_its_account_without_what_is_private(api: Client, actors: ActorMaker):
    code = 'set_value("OUTPUT", call("GET", f"{API}/users/me"))'
    actor = await actors.python(code)
    reply = await api.post(f"/v2/acts/{actor['id']}/run-sync", params={"memory": 128})
    me = reply.json["data"]
    assert me["username"] == api.username
    assert not {"email", "plan", "profile"} & set(me)


async def test_others_see_only_the_name(api: Client, other: Client):
    shown = (await other.get(f"/v2/users/{api.username}", token=None)).data
    assert shown["username"] == api.username
    assert not {"email", "proxy", "plan"} & set(shown)


async def test_only_hashes_of_tokens_are_kept(server: Server, api: Client):
    assert api.token is not None
    files = list(server.data_dir.glob("callboard.db*"))
    assert files and not any(api.token.encode() in file.read_bytes() for file in files)


async def test_a_token_signed_for_another_purpose_is_not_valid(server: Server, api: Client):
    vault = Vault((server.data_dir / "master.key").read_bytes())
    run_id = "A" * 17
    forged = f"callboard_run_{run_id}_{vault.sign('something-else', run_id)}"
    assert (await api.get("/v2/users/me", token=forged)).error["type"] == "invalid-token"


def test_the_folder_and_its_secrets_are_for_the_owner_only(server: Server):
    for name in ("token", "master.key", "lock", "callboard.db", "callboard.db-wal"):
        assert (server.data_dir / name).stat().st_mode & 0o077 == 0, name
    for name in (".", "logs", "blobs", "builds", "launcher", "cache"):
        folder = server.data_dir / name
        assert not folder.exists() or folder.stat().st_mode & 0o077 == 0, name
