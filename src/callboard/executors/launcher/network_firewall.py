"""What runs may reach, as nftables rules: one table for each launcher, loaded and removed whole.

Everything a run sends is judged at the prerouting hook, before other rules can redirect or accept it:
a port that another program publishes by address translation counts as the host's, too. What passes is
then offered to the other firewalls of the host. Those made with iptables (Docker, ufw) are told to accept
the bridge; a firewall made with nftables alone that drops by default needs that rule from its owner.
"""

import ipaddress
import shutil
import subprocess
from dataclasses import dataclass

from callboard.executors.launcher.network_registry import Claim

_COMMAND_TIMEOUT_SECS = 20
METADATA = (
    "169.254.0.0/16",  # Amazon, Google, Azure, Oracle, DigitalOcean and most others
    "168.63.129.16",  # Azure's host agent
    "100.100.100.200",  # Alibaba
    "192.0.0.192",  # Oracle, older
)


@dataclass(frozen=True)
class Policy:
    """What differs between launchers. `dns_local` is the host's loopback name server, if runs use it."""

    api_port: int
    allow_local: bool
    nameservers: tuple[str, ...] = ()
    dns_local: str | None = None


def install(claim: Claim, policy: Policy) -> None:
    """Load the table, in place of an earlier one of the same name, in one step. Raises OSError."""
    table = f"inet {claim.table}"
    _run(
        "nft", "-f", "-", text=f"add table {table}\ndelete table {table}\n{_ruleset(claim, policy)}"
    )


def remove(claim: Claim) -> None:
    table = f"inet {claim.table}"
    _run("nft", "-f", "-", text=f"add table {table}\ndelete table {table}\n")


def tell_other_firewalls(claim: Claim) -> None:
    """Have iptables, where the host has it, accept the bridge's traffic: ours is judged already."""
    if shutil.which("iptables") is None:
        return
    forward = "DOCKER-USER" if _succeeds("iptables", "-w", "-n", "-L", "DOCKER-USER") else "FORWARD"
    for rule in _accepting(claim.bridge, forward):
        _run("iptables", "-w", "-I", *rule)


def withdraw_from_other_firewalls(claim: Claim) -> None:
    if shutil.which("iptables") is None:
        return
    for forward in ("DOCKER-USER", "FORWARD"):
        for rule in _accepting(claim.bridge, forward):
            _succeeds("iptables", "-w", "-D", *rule)


def _accepting(bridge: str, forward: str) -> tuple[tuple[str, ...], ...]:
    answers = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED")
    return (
        ("INPUT", "-i", bridge, "-j", "ACCEPT"),
        (forward, "-i", bridge, "-j", "ACCEPT"),
        (forward, "-o", bridge, *answers, "-j", "ACCEPT"),
    )


def _ruleset(claim: Claim, policy: Policy) -> str:
    # Rules outlive a network that others than we remove. Whose subnet it is then has its gateway's address on another
    # link, and must not be cut off by them: hence `iif`.
    bridge, subnet, gateway = claim.bridge, claim.subnet, claim.gateway
    allow_local = "accept" if policy.allow_local else "goto refuse"
    return f"""
table inet {claim.table} {{
    {_address_set("nameservers", policy.nameservers)}
    {_address_set("metadata", METADATA)}
    chain refuse {{
        meta l4proto tcp reject with tcp reset
        reject
    }}
    chain from_run {{
        meta nfproto != ipv4 drop
        ip saddr != {subnet} drop
        ip saddr {gateway} drop
        ct state established,related accept
        ip daddr @nameservers meta l4proto {{ tcp, udp }} th dport 53 accept
        ip daddr @metadata goto refuse
        ip daddr {gateway} tcp dport {policy.api_port} accept
        ip daddr {gateway} icmp type echo-request accept
        {_dns_accepted(policy, gateway)}
        ip daddr {gateway} {allow_local}
        ip daddr {subnet} goto refuse
        fib daddr type local {allow_local}
        fib daddr type != unicast goto refuse
    }}
    chain prerouting {{
        type filter hook prerouting priority mangle; policy accept;
        iifname "{bridge}" goto from_run
        iifname != "lo" ip daddr {subnet} fib daddr . iif type != local drop
    }}
    chain forward {{
        type filter hook forward priority mangle; policy accept;
        iifname "{bridge}" tcp flags syn / syn,rst tcp option maxseg size set rt mtu
    }}
    chain to_host {{
        type nat hook prerouting priority dstnat - 1; policy accept;
        {_redirections(claim, policy)}
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {subnet} oifname != {{ "{bridge}", "lo" }} masquerade
    }}
}}
"""


def _dns_accepted(policy: Policy, gateway: ipaddress.IPv4Address) -> str:
    if policy.dns_local is None:
        return ""
    return f"ip daddr {gateway} meta l4proto {{ tcp, udp }} th dport 53 accept"


def _redirections(claim: Claim, policy: Policy) -> str:
    to_gateway = f'iifname "{claim.bridge}" ip daddr {claim.gateway}'
    rules = [f"{to_gateway} tcp dport {policy.api_port} accept"]
    if policy.dns_local is not None:
        dns = f"{to_gateway} meta l4proto {{ tcp, udp }} th dport 53"
        rules.append(f"{dns} dnat ip to {policy.dns_local}")
    if policy.allow_local:
        rules.append(f"{to_gateway} meta l4proto {{ tcp, udp }} dnat ip to 127.0.0.1")
    return "\n        ".join(rules)


def _address_set(name: str, elements: tuple[str, ...]) -> str:
    content = f"elements = {{ {', '.join(elements)} }}" if elements else ""
    return f"set {name} {{ type ipv4_addr; flags interval; auto-merge; {content} }}"


def _succeeds(*argv: str) -> bool:
    try:
        _run(*argv)
    except OSError:
        return False
    return True


def _run(*argv: str, text: str = "") -> None:
    try:
        subprocess.run(
            argv,
            input=text.encode(),
            capture_output=True,
            check=True,
            timeout=_COMMAND_TIMEOUT_SECS,
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise OSError(f"{argv[0]}: {said[:500]}") from None
    except subprocess.TimeoutExpired:
        raise OSError(f"{argv[0]}: no answer") from None
