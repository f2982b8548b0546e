"""The options of a sandbox, which are bubblewrap's: those of them that the launcher and the builds use."""

import os

_BARE = {
    "--unshare-user",
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup-try",
    "--die-with-parent",
    "--new-session",
    "--clearenv",
}
_STEPS = {
    "--bind": 2,
    "--ro-bind": 2,
    "--ro-bind-try": 2,
    "--dir": 1,
    "--symlink": 2,
    "--proc": 1,
    "--dev": 1,
    "--remount-ro": 1,
}
"""What makes the view, in the order given, and how many words each takes."""
CAPABILITIES = {
    "CAP_CHOWN": 0,
    "CAP_DAC_OVERRIDE": 1,
    "CAP_FOWNER": 3,
    "CAP_FSETID": 4,
    "CAP_KILL": 5,
    "CAP_SETGID": 6,
    "CAP_SETUID": 7,
    "CAP_SETPCAP": 8,
    "CAP_SYS_CHROOT": 18,
    "CAP_MKNOD": 27,
    "CAP_SETFCAP": 31,
}


class Options:
    """Raises ValueError for what it does not know: a wish must not be passed over in silence."""

    def __init__(self, words: list[str], program: list[str]) -> None:
        self.program = program
        self.flags: set[str] = set()
        self.steps: list[tuple[str, ...]] = []
        self.env: dict[str, str] = {}
        self.capabilities: list[int] = []
        self.hostname = ""
        self.cwd = "/"
        self.status_fd: int | None = None
        self.filter = b""
        self._mode = "0755"
        self.uid, self.gid = os.geteuid(), os.getegid()
        rest = list(reversed(words))
        while rest:
            self._take(rest.pop(), rest)

    def _take(self, name: str, rest: list[str]) -> None:
        if name in _BARE:
            self.flags.add(name)
        elif name == "--tmpfs":
            self.steps.append((name, self._mode, rest.pop()))
            self._mode = "0755"
        elif name in _STEPS:
            self.steps.append((name, *(rest.pop() for _ in range(_STEPS[name]))))
        elif name == "--setenv":
            variable, value = rest.pop(), rest.pop()
            self.env[variable] = value
        else:
            self._take_value(name, rest.pop())

    def _take_value(self, name: str, value: str) -> None:
        if name == "--cap-add":
            self.capabilities.append(CAPABILITIES[value])
        elif name == "--cap-drop" and value == "ALL":
            self.capabilities.clear()
        elif name == "--perms":
            self._mode = value
        elif name == "--hostname":
            self.hostname = value
        elif name == "--chdir":
            self.cwd = value
        elif name == "--json-status-fd":
            self.status_fd = int(value)
        elif name in ("--uid", "--gid"):
            setattr(self, name[2:], int(value))
        else:
            raise ValueError(f"unknown option {name}")


def read_options(argv: list[str]) -> Options:
    """From `--args FD [--seccomp FD] -- PROGRAM...`; the descriptors are closed."""
    split = argv.index("--")
    named = dict(zip(argv[:split:2], argv[1:split:2], strict=True))
    words = _read(int(named["--args"])).split(b"\0")[:-1]
    options = Options([os.fsdecode(word) for word in words], argv[split + 1 :])
    if "--seccomp" in named:
        options.filter = _read(int(named["--seccomp"]))
    return options


def _read(fd: int) -> bytes:
    with open(fd, "rb", buffering=0) as file:
        return file.read()
