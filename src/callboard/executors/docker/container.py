"""What a container is created with: the limits of a launch and everything that is taken away from its program."""

from collections.abc import Iterable, Mapping
from typing import Any

from callboard.executors.base import LaunchSpec, MountMode
from callboard.executors.launcher.disk import file_limit_blocks
from callboard.executors.launcher.network_lease import HOST_NAME
from callboard.executors.launcher.sandbox import JOB_UID

INSTANCE_LABEL = "callboard.instance"
JOB_LABEL = "callboard.job"
MIB = 1024 * 1024
_SHARES_PER_CPU = 1024
_LOG_FILE_MBYTES = 64
"""The engine keeps the newest two files of this size for a server that is not there to read."""
REMOVED_WHOLE = {"force": "1", "v": "1"}
"""Parameters of a container's removal: also when it runs, and with the volumes that are nobody else's."""
BINARY_LOG, JSON_LOG = "local", "json-file"
"""Log drivers. JSON does not keep bytes that are no UTF-8, but every engine has it."""


def container_config(
    spec: LaunchSpec,
    *,
    labels: Mapping[str, str],
    network: str,
    host_address: str | None,
    log_driver: str,
    unwanted: Iterable[str] = (),
    limits: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The body of the request that creates the container.

    `host_address` is set when jobs may reach the host. `unwanted` names variables that image or engine would add.
    `limits` are the engine's own, by the kernel's names for them.
    """
    if spec.image is None:
        raise ValueError("a container needs an image")
    return {
        "Image": spec.image,
        "Entrypoint": list(spec.argv),
        "Cmd": [],
        "Env": _environment(spec, unwanted),
        "WorkingDir": spec.cwd,
        "User": spec.user or f"{JOB_UID}:{JOB_UID}",
        "StopSignal": "SIGTERM",
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": {**labels, JOB_LABEL: spec.job_id},
        "AttachStdout": False,
        "AttachStderr": False,
        "HostConfig": _host_config(spec, network, host_address, log_driver)
        | {"Ulimits": _limits(spec, limits or {})},
    }


def _environment(spec: LaunchSpec, unwanted: Iterable[str]) -> list[str]:
    """That of the launch: a name without a value takes one away."""
    names = set(unwanted) - spec.env.keys()
    return [*(f"{name}={value}" for name, value in spec.env.items()), *sorted(names)]


def _host_config(
    spec: LaunchSpec, network: str, host_address: str | None, log_driver: str
) -> dict[str, Any]:
    memory = spec.memory_mbytes * MIB
    return {
        "Memory": memory,
        "MemorySwap": memory,
        "CpuShares": max(2, round(spec.cpus * _SHARES_PER_CPU)),
        "PidsLimit": spec.pids_max,
        "ShmSize": memory // 2,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "Init": True,
        "IpcMode": "private",
        "NetworkMode": network,
        "ExtraHosts": [f"{HOST_NAME}:{host_address}"] if host_address else [],
        "Mounts": [
            {
                "Type": "bind",
                "Source": str(mount.source),
                "Target": mount.target,
                "ReadOnly": mount.mode is MountMode.READ_ONLY,
                "BindOptions": {"Propagation": "rprivate", "NonRecursive": True},
            }
            for mount in spec.mounts
            if mount.mode is not MountMode.OVERLAY
        ],
        "LogConfig": {
            "Type": log_driver,
            "Config": {"max-size": f"{_LOG_FILE_MBYTES}m", "max-file": "2"},
        },
        "RestartPolicy": {"Name": "no"},
    }


def _limits(spec: LaunchSpec, limits: Mapping[str, int]) -> list[dict[str, Any]]:
    fsize = file_limit_blocks(spec.disk_bytes) * 512
    both = {**limits, "core": 0, "fsize": fsize}
    return [{"Name": name, "Soft": most, "Hard": most} for name, most in both.items()]


def with_disk_limit(config: Mapping[str, Any], disk_mbytes: int) -> dict[str, Any]:
    """The same, with a limit for what the container may write to its own layer."""
    host = {**config["HostConfig"], "StorageOpt": {"size": f"{disk_mbytes}m"}}
    return {**config, "HostConfig": host}
