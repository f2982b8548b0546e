"""What a run behind a user-mode stack may not reach, as rules inside its own namespace."""

from dataclasses import dataclass

_DNS_PORT = 53


@dataclass(frozen=True)
class Restrictions:
    """Outgoing only. What is open wins over what is closed; everything else is open."""

    nameservers: tuple[str, ...]
    api_host: str
    api_port: int
    closed: tuple[str, ...]
    """Addresses and networks."""

    def as_routing_rules(self) -> str:
        """For `ip -batch`."""
        servers = [(server, kind) for server in self.nameservers for kind in ("udp", "tcp")]
        opened = [f"{server} ipproto {kind} dport {_DNS_PORT}" for server, kind in servers]
        opened.append(f"{self.api_host} ipproto tcp dport {self.api_port}")
        rules = [f"rule add pref 100 to {target} lookup main" for target in opened]
        rules += [f"rule add pref 200 to {target} prohibit" for target in self.closed]
        return "".join(f"{rule}\n" for rule in rules)
